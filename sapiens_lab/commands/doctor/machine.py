"""The machine: processors, memory, disks and the limits of this process."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sapiens_lab.atomic import file_limit, free_bytes, size
from sapiens_lab.cache import cache_folder
from sapiens_lab.commands.doctor.diagnosis import Line

_LITTLE_SHM, _LITTLE_DISK, _NO_DISK = 1e9, 10e9, 1e9  # bytes
_FEW_FILES = 1024
_SHM = Path("/dev/shm")
_CGROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def examine_machine(output_root: Path) -> Iterator[Line]:
    """Say what the machine has; warn where training is known to fail for want of it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = memory_bytes()
    text = f"{cores} cores" + (f", {size(memory)} of memory" if memory else "")
    yield Line(status="ok", name="processor", text=text)
    if _SHM.is_dir():
        yield examine_shared_memory(shutil.disk_usage(_SHM).total)
    folders = {"disk for runs": output_root, "disk for the cache": cache_folder()}
    for name, folder in folders.items():
        yield examine_disk(name, folder, free_bytes(folder))
    if (limit := file_limit()) is not None:
        yield Line(
            status="warning",
            name="file size",
            text=f"a file may have {size(limit)} (`ulimit -f`); checkpoints are larger",
            remedy="ulimit -f unlimited",
        )
    yield from _examine_open_files()


def memory_bytes() -> int | None:
    """Return the memory that this process may use, a container's limit included."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    for path in _CGROUPS:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def examine_shared_memory(total: int) -> Line:
    """Judge the size of the memory through which loading processes hand over batches."""
    if total >= _LITTLE_SHM:
        return Line(status="ok", name="shared memory", text=f"{size(total)} in {_SHM}")
    return Line(
        status="warning",
        name="shared memory",
        text=f"{_SHM} has {size(total)}: loading processes that run out of it die (bus error)",
        remedy="give a container more (docker run --shm-size=8g or --ipc=host), or load in the "
        "training process with data.num_workers=0",
    )


def examine_disk(name: str, folder: Path, free: int) -> Line:
    """Judge the room for what a run writes."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        option = "output_root=PATH" if name == "disk for runs" else "SAPIENS_LAB_CACHE=PATH"
        return Line(
            status="error",
            name=name,
            text=f"{place} is not writable",
            remedy=f"make it writable, or choose another folder with {option}",
        )
    text = f"{size(free)} free at {folder.absolute()}"
    if free >= _LITTLE_DISK:
        return Line(status="ok", name=name, text=text)
    return Line(
        status="error" if free < _NO_DISK else "warning",
        name=name,
        text=f"{text}; a run of a 0.3b model keeps about 10 GB",
        remedy="free some, or choose another disk: output_root=PATH for runs, SAPIENS_LAB_CACHE "
        "for rendered people, HF_HOME for weights",
    )


def _examine_open_files() -> Iterator[Line]:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FEW_FILES:
        shown = "any number of" if soft == resource.RLIM_INFINITY else str(soft)
        yield Line(status="ok", name="open files", text=f"{shown} files may be open")
        return
    wanted = _FEW_FILES * 4 if hard == resource.RLIM_INFINITY else min(hard, _FEW_FILES * 4)
    yield Line(
        status="warning",
        name="open files",
        text=f"only {soft} files may be open (`ulimit -n`): loading processes need more",
        remedy=f"ulimit -n {wanted}",
    )
