"""Checks of boxes: whether they are boxes at all, and whether they are written as COCO wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.finding import Finding, of_rows
from sapiens_lab.data.checks.keypoints import Columns

Array = NDArray[np.float64]

_REMEDY = "Correct them, or delete their `bbox` to have it drawn around the keypoints"
_FITS = 0.5  # IoU of a box with the extent of its keypoints that speaks for a way of writing
_MISFITS = 0.45  # and against one
_RARE = 1e-3  # fraction of a large dataset whose boxes may be odd without a word
_LEAVES = 0.3  # fraction of the boxes that must leave their images before all are taken for wrong
_LOOSE = 0.2  # of a box that its keypoints fill, in the median
_NUM_LOOSE = 3  # boxes that are needed to say so

# What boxes may be instead of [x, y, width, height], and what to do about it.
_FORMS: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "[x1, y1, x2, y2]": (
        "subtract the first two numbers from the last two",
        lambda b, size: b,
    ),
    "[center x, center y, width, height]": (
        "subtract half of the size from the center",
        lambda b, size: np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1),
    ),
    "[y, x, height, width]": (
        "exchange the numbers in pairs",
        lambda b, size: _corners(b[:, [1, 0, 3, 2]]),
    ),
    "[x, y, height, width]": (
        "exchange the last two numbers",
        lambda b, size: _corners(b[:, [0, 1, 3, 2]]),
    ),
    "fractions of the image": (
        "multiply by width and height",
        lambda b, size: _corners(b * np.tile(size[:, ::-1], 2)),
    ),
    "fractions of the image about their centers": (
        "multiply by width and height and subtract half of the size from the center",
        lambda b, size: _FORMS["[center x, center y, width, height]"][1](
            b * np.tile(size[:, ::-1], 2), size
        ),
    ),
}


def check_lists(rows: Sequence[Mapping[str, Any]], *, name: Callable[[int], str]) -> Finding | None:
    """Find boxes that are not four numbers; one that is missing is no fault."""
    values = [row.get("bbox") for row in rows]
    given = [value for value in values if value]
    kinds = set(map(type, chain.from_iterable(v for v in given if isinstance(v, list))))
    if set(map(type, given)) <= {list} and set(map(len, given)) <= {4} and kinds <= {int, float}:
        return None
    faulty = [not _is_box(value) for value in values]
    remedy = "COCO's format wants four numbers, [x, y, width, height]"
    return of_rows("error", faulty, "boxes are not four numbers", name=name, remedy=remedy)


def check_finite(boxes: Array, *, name: Callable[[int], str]) -> Finding | None:
    """Find boxes ``(N, 4)`` with NaN or infinity."""
    faulty = ~np.isfinite(boxes).all(1)
    return of_rows("error", faulty, "boxes hold NaN or infinity", name=name, remedy=_REMEDY)


def check_area(boxes: Array, sizes: Array, *, name: Callable[[int], str]) -> Finding | None:
    """Find boxes ``(N, 4)`` xywh of which no area is left in their images of ``(N, 2)`` h, w."""
    inside = np.clip(_corners(boxes), 0, np.tile(sizes[:, ::-1] - 1, 2))
    faulty = np.isfinite(boxes).all(1) & ~(inside[:, 2:] > inside[:, :2]).all(1)
    what = "boxes have no area in their image"
    return of_rows("error", faulty, what, name=name, remedy=_REMEDY)


def check_form(
    boxes: Array, points: Columns, sizes: Array, *, name: Callable[[int], str]
) -> Finding | None:
    """Find boxes that fit their keypoints in another way of writing and not as written.

    Args:
        boxes: ``(N, 4)`` as the file has them; finite.
        points: of all people.
        sizes: ``(N, 2)`` height, width; infinite where they are not stated.
        name: names a person.
    """
    extent, known = _extents(points)
    own = np.where(known, _iou(_corners(boxes), extent), 1)
    misfits = own < _MISFITS
    if not misfits.any():
        return _check_leaving(boxes, sizes, name)
    finite = np.where(np.isfinite(sizes), sizes, 1)[misfits]
    fits = {}
    for form, (_, convert) in _FORMS.items():
        iou = _iou(convert(boxes[misfits], finite), extent[misfits])
        fits[form] = misfits.copy()
        fits[form][misfits] = (iou > _FITS) & (iou > 1.5 * own[misfits])
    best = max(fits, key=lambda form: int(fits[form].sum()))
    faulty = fits[best]
    if faulty.sum() < max(1, _RARE * len(boxes)):
        return _check_leaving(boxes, sizes, name)
    return of_rows(
        "error",
        faulty,
        f"boxes, e.g. {boxes[faulty][0].round(3).tolist()}, fit their keypoints only if they are "
        f"{best}; COCO's format wants [x, y, width, height]",
        name=name,
        remedy=_FORMS[best][0].capitalize(),
    )


def check_fit(boxes: Array, points: Columns, *, name: Callable[[int], str]) -> Finding | None:
    """Find boxes that most of their person's keypoints are not in."""
    x, y, visible = points
    left, top, right, bottom = _corners(boxes).T
    across, down = 0.1 * (right - left) + 1, 0.1 * (bottom - top) + 1
    inside = (x >= left - across) & (x <= right + across)
    inside &= (y >= top - down) & (y <= bottom + down) & (visible > 0)
    labeled = (visible > 0).sum(0)
    faulty = (labeled >= 3) & (inside.sum(0) < 0.5 * labeled)
    if faulty.sum() < max(1, _RARE * len(boxes)):
        return None
    return of_rows(
        "warning",
        faulty,
        "people have most of their keypoints outside of their box",
        name=name,
        remedy="Is it another person's, or are boxes and keypoints of images of different sizes?",
    )


def check_looseness(boxes: Array, points: Columns) -> Finding | None:
    """Find boxes that are much larger than the people in them, throughout."""
    extent, known = _extents(points)
    full = known & (points.visible > 0).all(0)
    if full.sum() < _NUM_LOOSE:
        return None
    area = (extent[:, 2:] - extent[:, :2]).prod(1)[full]
    filled = float(np.median(area / np.maximum(boxes[full, 2:].prod(1), 1e-9)))
    if filled >= _LOOSE:
        return None
    return Finding(
        severity="warning",
        what=f"the keypoints of a person fill {filled:.0%} of its box (median of {full.sum()})",
        count=int(full.sum()),
        remedy="Crops are cut around the box, which should be close to the person: is it?",
    )


def _check_leaving(boxes: Array, sizes: Array, name: Callable[[int], str]) -> Finding | None:
    """Find boxes that leave their images and would not as two corners."""
    limit = np.tile(sizes[:, ::-1], 2) * 1.05 + 2
    leaves = (_corners(boxes) > limit).any(1)
    corners = (boxes[:, 2:] > boxes[:, :2]).all(1) & (boxes <= limit).all(1)
    faulty = leaves & corners
    if faulty.mean() <= _LEAVES:
        return None
    form = "[x1, y1, x2, y2]"
    return of_rows(
        "error",
        faulty,
        f"boxes leave their image, e.g. {boxes[faulty][0].tolist()}; they seem to be {form}, "
        "COCO's format wants [x, y, width, height]",
        name=name,
        remedy=_FORMS[form][0].capitalize(),
    )


def _is_box(value: Any) -> bool:
    if not value:
        return value is None or value == []
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _corners(boxes: Array) -> Array:
    """Turn ``(N, 4)`` xywh into xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def _extents(points: Columns) -> tuple[Array, NDArray[np.bool_]]:
    """Return the smallest boxes around labeled points ``(N, 4)`` xyxy, and which mean something.

    They do if at least half of the points, and three, are labeled and do not lie on a line.
    """
    low, high = points.extents()
    count = (points.visible > 0).sum(0)
    with np.errstate(invalid="ignore"):
        known = (count >= 3) & (count >= len(points.x) / 2) & (high - low > 1).all(0)
    return np.where(known, np.concatenate([low, high]), 0).T, known


def _iou(a: Array, b: Array) -> Array:
    """Return the intersection over union of boxes ``(N, 4)`` xyxy, pair by pair."""
    inside = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = inside.clip(0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).clip(0).prod(1) + (b[:, 2:] - b[:, :2]).clip(0).prod(1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))
