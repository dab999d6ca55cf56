"""Tests; their folders are those of the package."""

import os

# Read when torch is first imported, after this line. The commands set the same: threads that spin
# while they wait took three quarters of the CPU time of a small run beside other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
