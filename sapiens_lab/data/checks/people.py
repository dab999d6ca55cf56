"""Checks of all people of a dataset: their boxes, their flags, and which points are labeled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.finding import Finding, of_items, of_rows
from sapiens_lab.data.checks.keypoints import Columns

Array = NDArray[np.float64]

_LOOSE = 0.2  # of a box that its keypoints' extent fills, at least
_SHORT = 0.65  # of a box's longer side, below which its person is far shorter
_NUM_POINTS = 5  # labeled points of a person that tell something
_BEYOND = 0.1  # of a box's size, that a point may lie outside
_RARE = 0.02  # fraction of the people that may be odd without a word
_NUM_FLAGS = 50  # people that are needed to judge by their flags
_NUM_EDGES = 4  # of a skeleton, to judge an order by
_SCATTERED = 0.8  # of the distance between any two points, that two joined ones have at most


def check_loose_boxes(people: Annotations) -> Finding | None:
    """Find people whose boxes are far larger than they are."""

    def is_loose(boxes: Array, points: Columns) -> NDArray[np.bool_]:
        low, high = points.extents()
        labeled = (points.visible > 0).sum(0)
        told = (labeled >= _NUM_POINTS) & (labeled >= 0.7 * len(points.x))
        with np.errstate(invalid="ignore"):
            sides = (high - low).clip(1)
        box = (boxes[:, 2:] - boxes[:, :2]).T
        # A person seen from the side is a line: the longer side counts, too.
        filled = sides.prod(0) / np.maximum(box.prod(0), 1e-9)
        return np.asarray(told & (filled < _LOOSE) & (sides.max(0) < _SHORT * box.max(0)))

    loose = people.every(is_loose)
    if loose.sum() <= _RARE * len(people):
        return None
    return of_rows(
        "warning",
        loose,
        "people have a box far larger than they are",
        name=people.name,
        remedy="Crops are cut around the box: is it that of the image, or of several people? "
        "Without `bbox` it is drawn around the keypoints",
    )


def check_points_outside(people: Annotations) -> Finding | None:
    """Find people with labeled keypoints outside of their boxes."""

    def is_outside(boxes: Array, points: Columns) -> NDArray[np.bool_]:
        x, y, visible = points
        left, top, right, bottom = boxes.T
        across, down = _BEYOND * (right - left) + 2, _BEYOND * (bottom - top) + 2
        outside = (x < left - across) | (x > right + across)
        outside |= (y < top - down) | (y > bottom + down)
        return np.asarray((outside & (visible > 0)).any(0))

    outside = people.every(is_outside)
    if outside.mean() <= 5 * _RARE:
        return None
    return of_rows(
        "warning",
        outside,
        "people have labeled keypoints outside of their box",
        name=people.name,
        remedy="Crops may cut them off: make the boxes larger, or delete `bbox` to have it drawn "
        "around the keypoints",
    )


def check_flags(people: Annotations) -> Finding | None:
    """Find files in which every labeled point has the same flag, so that it says nothing."""
    counts = np.zeros(3, np.int64)
    for _, points in people.chunks():
        counts += np.bincount(points.visible.ravel().astype(np.int64), minlength=3)[:3]
    occluded, visible = int(counts[1]), int(counts[2])
    if len(people) < _NUM_FLAGS or min(occluded, visible) > 0:
        return None
    flag, meaning = (2, "visible") if visible else (1, "occluded")
    more = "" if counts[0] else ", and none is left unlabeled"
    return Finding(
        severity="warning",
        what=f"all {occluded + visible} labeled keypoints of {len(people)} people are flagged "
        f"{flag}, {meaning}{more}",
        count=len(people),
        remedy="1 is labeled but occluded, 2 visible; 0, 0, 0 leaves out a point that was guessed. "
        "Training treats 1 and 2 alike",
    )


def check_unlabeled(
    train: Annotations, val: Annotations | None, skeleton: Skeleton
) -> Finding | None:
    """Find keypoints that no person has, or that are trained and not validated."""
    known = _labeled(train)
    checked = known if val is None else _labeled(val)
    items = [
        f"{name} (not in {'training' if not a else 'validation'})"
        for name, a, b in zip(skeleton.keypoints, known, checked, strict=True)
        if bool(a) != bool(b)
    ]
    items += [
        f"{name} (nowhere)"
        for name, a, b in zip(skeleton.keypoints, known, checked, strict=True)
        if not a and not b
    ]
    what = f"of {len(skeleton.keypoints)} keypoints are not labeled everywhere"
    return of_items(
        "warning",
        items,
        what,
        remedy="The head has a channel for each: is skeleton=FILE the set that was labeled?",
    )


def check_order(people: Annotations, skeleton: Skeleton) -> Finding | None:
    """Find keypoints in another order than the skeleton's: joined points are far apart."""
    if len(skeleton.edges) < _NUM_EDGES or len(people) < _NUM_POINTS:
        return None
    a, b = np.array(skeleton.edges).T

    def compare(_: Array, points: Columns) -> Array:
        xy = np.stack([points.x, points.y])  # (2, K, N)
        known = points.visible > 0
        both = known[a] & known[b]
        edges = np.linalg.norm(xy[:, a] - xy[:, b], axis=0)
        center = np.where(known, xy, 0).sum(1) / np.maximum(known.sum(0), 1)
        # Two points at random are sqrt(2) standard deviations apart, about.
        spread = np.where(known, ((xy - center[:, None]) ** 2).sum(0), 0).sum(0)
        spread = np.sqrt(2 * spread / np.maximum(known.sum(0), 1))
        length = np.where(both, edges, 0).sum(0) / np.maximum(both.sum(0), 1)
        told = (both.sum(0) >= _NUM_EDGES) & (spread > 1)
        return np.where(told, length / np.maximum(spread, 1e-9), np.nan)

    ratios = people.every(compare)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < _NUM_POINTS or np.median(ratios) < _SCATTERED:
        return None
    return Finding(
        severity="warning",
        what=f"points that {skeleton.name!r} joins by an edge are {np.median(ratios):.0%} as far "
        "apart as any two points of a person",
        count=len(ratios),
        remedy="Are the keypoints in another order? skeleton=FILE takes names and order from the "
        "annotation file",
    )


def _labeled(people: Annotations) -> NDArray[np.int64]:
    """Return how many people have each keypoint ``(K,)``."""
    return np.asarray(sum((points.visible > 0).sum(1) for _, points in people.chunks()))
