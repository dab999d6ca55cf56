"""The released models by name: what ``weights=sapiens-pose-1b`` means."""

from __future__ import annotations

import difflib

from sapiens_lab.weights.families import Release, releases


def list_models() -> tuple[Release, ...]:
    """Return all released models."""
    return releases()


def find_release(name: str) -> Release | None:
    """Return the release of a name, or ``None`` where there is none."""
    return next((release for release in releases() if release.name == name), None)


def near_names(name: str) -> list[str]:
    """Return the released names most like ``name``."""
    return difflib.get_close_matches(name, [r.name for r in releases()], n=3, cutoff=0.4)
