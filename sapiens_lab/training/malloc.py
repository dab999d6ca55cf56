"""Let the C library keep freed memory for the next step, where training runs on the CPU.

A step frees and allocates the same large maps again and again. glibc returns each of them to the
kernel and fetches zeroed pages for the next, which took half of the time of a small network
(``benchmarks/cpu_malloc.py``). The price is that a process keeps its peak memory until it ends.
"""

from __future__ import annotations

import ctypes
import os
import platform

VARIABLE = "SAPIENS_LAB_MALLOC"  # `system` leaves glibc as it is
# Constants of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory(device_type: str) -> bool:
    """Tell glibc to keep what is freed; other systems and GPU runs stay as they are.

    Args:
        device_type: where the model runs, e.g. ``cpu``.

    Returns:
        Whether anything was changed.
    """
    if device_type != "cpu" or os.environ.get(VARIABLE) == "system":
        return False
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Large blocks come from the heap, and the heap is never trimmed (-1).
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
