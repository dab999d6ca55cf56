"""What can be wrong with data, one small function a fault, and how faults are reported."""
