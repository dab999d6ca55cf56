"""Checks of COCO's segmentations as parsed, before one is drawn.

The rasterizer takes memory for what the numbers claim, so they are looked at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sapiens_lab.data.checks.finding import Finding, of_items, of_rows
from sapiens_lab.data.checks.keypoints import percent_finding

Size = tuple[float, float]

_FAR = 10  # times the image's size, that no outline is off
_LARGEST = 1e5  # pixels, where the size is not stated


def find_shape_fault(shape: Any, size: Size | None) -> str:
    """Say why a segmentation cannot be drawn; empty if it can.

    Args:
        shape: polygons, or runs.
        size: (height, width) of the image, if it is known.
    """
    if isinstance(shape, Mapping):
        return "" if "counts" in shape else "its RLE are malformed: they have no counts"
    if not isinstance(shape, list) or not all(
        isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in shape
    ):
        return (
            "its segmentation must be a list of polygons, each [x, y, x, y, ...] of at least "
            "three points"
        )
    if any(not set(map(type, polygon)) <= {int, float} for polygon in shape):
        return "its polygons hold what is no number"
    limit = _FAR * max(size) if size else _LARGEST
    # NaN compares false with everything, so that it is far, too.
    if not all(-limit <= min(p) and max(p) <= limit and sum(p) == sum(p) for p in shape):
        return "its polygons hold NaN, infinity, or points far outside of the image"
    return ""


def check_shapes(
    rows: Sequence[Mapping[str, Any]],
    sizes: Sequence[Size | None],
    *,
    name: Callable[[int], str],
) -> list[Finding]:
    """Find segmentations that cannot be drawn, are fractions, or lie outside of their images.

    Args:
        rows: annotations with a ``segmentation``.
        sizes: (height, width) of each one's image, if it is known.
        name: names an annotation.
    """
    faults = [
        find_shape_fault(row["segmentation"], size) for row, size in zip(rows, sizes, strict=True)
    ]
    polygons: list[Any] = [
        None if fault or isinstance(row["segmentation"], Mapping) else row["segmentation"]
        for row, fault in zip(rows, faults, strict=True)
    ]
    malformed = of_rows(
        "error",
        [bool(fault) for fault in faults],
        "segmentations are malformed",
        name=lambda i: f"{name(i)}: {faults[i]}",
        remedy="",
    )
    fractions = of_rows(
        "error",
        [shape is not None and max(map(max, shape)) <= 1.5 for shape in polygons],
        "segmentations lie between 0 and 1, so they seem to be fractions of the image",
        name=name,
        remedy="COCO's format wants pixels: multiply by width and height",
    )
    outside = of_items(
        "warning",
        (name(i) for i, size in enumerate(sizes) if size and _is_outside(polygons[i], size)),
        f"of {len(rows)} segmentations lie outside of their images",
        remedy="Are they of a larger image, or are x and y exchanged?",
    )
    drawn = [(shape, size) for shape, size in zip(polygons, sizes, strict=True) if shape and size]
    percents = percent_finding(
        np.array([max(map(max, shape)) for shape, _ in drawn]),
        np.array([min(size) for _, size in drawn]),
        "segmentations",
    )
    found = (malformed, fractions, percents, outside)
    return [fault for fault in found if fault is not None]


def _is_outside(shape: Sequence[Sequence[float]] | None, size: Size) -> bool:
    """Return whether the middle of a region is not in its image."""
    if not shape:
        return False
    height, width = size
    x = (min(min(p[::2]) for p in shape) + max(max(p[::2]) for p in shape)) / 2
    y = (min(min(p[1::2]) for p in shape) + max(max(p[1::2]) for p in shape)) / 2
    return not (0 <= x <= width and 0 <= y <= height)
