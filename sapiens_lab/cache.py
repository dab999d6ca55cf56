"""Where the package keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$SAPIENS_LAB_CACHE``, or ``sapiens_lab`` in the user's cache."""
    if own := os.environ.get("SAPIENS_LAB_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sapiens_lab"
