"""Reads files one after the other in a process of its own and reports what each took.

``python -m tests.security.worker FOLDER < NAMES`` prints a line of JSON for every name.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.arrays import read_labels, read_map, read_size
from sapiens_lab.data.images import read_image
from sapiens_lab.weights.files import read_weights


def status(key: str) -> int:
    """Return a number of this process's memory [bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def read(path: Path) -> str:
    """Read a file in every way that its suffix allows, and say what came of it."""
    if path.suffix == ".pth":
        return f"read {len(read_weights(path).state)} tensors"
    if path.suffix in (".json", ".yaml"):
        return f"read {Skeleton.load(str(path)).num_keypoints} names"
    ways: list[Callable[[Path], Any]] = [read_labels, read_map]
    if path.suffix != ".npy":
        ways += [read_image, read_size]
    answers = []
    for way in ways:
        try:
            value = way(path)
            answers.append(f"read {value if isinstance(value, tuple) else value.shape}")
        except (ValueError, FileNotFoundError) as error:
            answers.append(f"refused: {error}")
    return " | ".join(sorted(answers))  # what was read comes first


def measured(path: Path) -> dict[str, Any]:
    """Read a file and say what came of it; time is the processor's, whatever else it does."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = status("VmRSS"), time.process_time()
    try:
        outcome = read(path)
    except (ValueError, FileNotFoundError) as error:
        outcome = f"refused: {error}"
    return {
        "name": path.name,
        "outcome": outcome,
        "seconds": time.process_time() - start,
        "bytes": status("VmHWM") - before,
    }


def main() -> None:
    """Read the files that are named on standard input."""
    limit = 16 << 30  # should a reader fail, the machine shall not
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(measured(folder / line.strip())), flush=True)


if __name__ == "__main__":
    main()
