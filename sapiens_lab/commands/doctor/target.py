"""Where a report may be written: nowhere that something else than a report is."""

from __future__ import annotations

import os
from pathlib import Path

MARK = '<meta name="generator" content="sapiens doctor">'
_BEGINNING = 1024  # characters in which a report has its mark


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file that is not a report of ours.

    Raises:
        ValueError: it is not, or no file can be written there.
    """
    if path.is_dir():
        raise ValueError(f"--report {path} is a folder: name a file in it, e.g. {path}/report.html")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise ValueError(f"--report {path}: {folder} is not writable")
    if overwrite or not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        if MARK in file.read(_BEGINNING):
            return
    raise ValueError(
        f"--report {path}: there is a file that `sapiens doctor` did not write. Choose another "
        "name, or replace it with --overwrite"
    )
