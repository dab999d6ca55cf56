"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of recorded official numbers and real images; tests that need it skip without it."""
    path = Path(os.environ.get("SAPIENS_SHARED", ROOT.parent / "shared"))
    if not (path / "goldens").is_dir():
        pytest.skip(f"recorded official numbers are not at {path} (set SAPIENS_SHARED)")
    return path
