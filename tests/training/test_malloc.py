from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from sapiens_lab.training.malloc import VARIABLE, keep_freed_memory

IS_GLIBC = platform.libc_ver()[0] == "glibc"

# A block of 64 MB is taken and given back 20 times; the kernel counts the pages it hands out.
SCRIPT = """
import ctypes, resource
from sapiens_lab.training.malloc import keep_freed_memory
changed = keep_freed_memory("cpu")
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = ctypes.c_void_p(libc.malloc(64 * 2**20))
    ctypes.memset(block, 1, 64 * 2**20)
    libc.free(block)
print(changed, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[bool, int]:
    """Return whether a new process changed its malloc, and the page faults of the blocks."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=0", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    changed, count = result.stdout.split()
    return changed == "True", int(count)


@pytest.mark.skipif(not IS_GLIBC, reason="the C library is not glibc")
def test_freed_blocks_are_used_again_unless_the_variable_says_otherwise() -> None:
    changed, kept = faults()
    unchanged, given_back = faults(**{VARIABLE: "system"})
    assert changed
    assert not unchanged
    assert kept < given_back / 5


def test_runs_on_a_gpu_keep_the_system_malloc() -> None:
    assert not keep_freed_memory("cuda")
