"""Reads files one after the other in a process of its own and reports what each took.

``python -m tests.security.worker FOLDER < NAMES`` prints a line of JSON for every name.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from sapiens_lab.weights.files import read_weights


def status(key: str) -> int:
    """Return a number of this process's memory [bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def measured(path: Path) -> dict[str, Any]:
    """Read a file and say what came of it; time is the processor's, whatever else it does."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = status("VmRSS"), time.process_time()
    try:
        weights = read_weights(path)
        outcome = f"read {len(weights.state)} tensors"
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
