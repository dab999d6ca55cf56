"""Where the package keeps what it can make again, and how it writes a file whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$SAPIENS_LAB_CACHE``, or ``sapiens_lab`` in the user's cache."""
    if own := os.environ.get("SAPIENS_LAB_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sapiens_lab"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)  # mkstemp's own would shut out everyone the folder is shared with
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
