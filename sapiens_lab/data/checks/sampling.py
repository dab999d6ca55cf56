"""Which samples are looked into before a run starts: not all, but some from everywhere."""

from __future__ import annotations

NUM_CHECKED = 32  # samples that a dataset reads before the first step


def spread(length: int, limit: int | None = NUM_CHECKED) -> list[int]:
    """Return at most ``limit`` indices, evenly over ``0 .. length - 1``."""
    if limit is None or limit >= length:
        return list(range(length))
    return [i * length // limit for i in range(limit)]


def spread_pairs(length: int) -> list[int]:
    """Return ``NUM_CHECKED`` indices at most, as pairs of neighbors all over the dataset."""
    if length <= NUM_CHECKED:
        return list(range(length))
    return [i + j for i in spread(length - 1, NUM_CHECKED // 2) for j in (0, 1)]
