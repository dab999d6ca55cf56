"""Checks of COCO's segmentations as parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sapiens_lab.data.checks.finding import Finding, of_rows


def check_pixels(
    rows: Sequence[Mapping[str, Any]], *, name: Callable[[int], str]
) -> Finding | None:
    """Find polygons that are fractions of the image instead of pixels."""
    faulty = [_largest(row["segmentation"]) <= 1.5 for row in rows]
    what = "segmentations lie between 0 and 1, so they seem to be fractions of the image"
    remedy = "COCO's format wants pixels: multiply by width and height"
    return of_rows("error", faulty, what, name=name, remedy=remedy)


def _largest(shape: Any) -> float:
    """Return the largest number of polygons; infinity for anything else."""
    if not isinstance(shape, list) or not all(isinstance(p, list) and p for p in shape):
        return float("inf")
    numbers = [n for polygon in shape for n in polygon]
    return max(numbers) if all(isinstance(n, int | float) for n in numbers) else float("inf")
