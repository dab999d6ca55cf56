"""Checks of left and right by geometry, person by person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.finding import Finding, of_rows
from sapiens_lab.data.checks.keypoints import Columns

Array = NDArray[np.float64]

_WRONG = 0.05  # fraction of faces that may seem the wrong way round: seen from far below, they do
_CROSSED = 0.2  # fraction of people whose limbs may cross
_WIDTH = 0.2  # of a limb's length, that its two joints must be from those of the other side
_PARALLEL = 0.7  # cosine of the angle between the lines from left to right at a limb's two ends
_NUM_PEOPLE = 3


def check_faces(people: Annotations, skeleton: Skeleton) -> Finding | None:
    """Find people whose left eye, right eye and nose go round in the wrong direction.

    Seen by a camera they go round in one direction whatever way the head is turned.
    """
    index = {name: i for i, name in enumerate(skeleton.keypoints)}
    names = ("left_eye", "right_eye", "nose")
    if not all(name in index for name in names):
        return None
    chosen = [index[name] for name in names]

    def direction(_: Array, points: Columns) -> Array:
        x, y, visible = (column[chosen] for column in points)
        turn = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
        return np.where((visible == 2).all(0) & (np.abs(turn) > 1), turn, 0)

    turn = people.every(direction)
    told = int((turn != 0).sum())
    wrong = turn > 0
    if wrong.sum() < max(_NUM_PEOPLE, _WRONG * told):
        return None
    return of_rows(
        "warning",
        wrong,
        f"people ({wrong.sum() / told:.0%} of the {told} whose face is seen) have left_eye, "
        "right_eye and nose the wrong way round",
        name=people.name,
        remedy="left is the person's own left, on the right of an image that shows its face. Were "
        "images flipped without exchanging left and right?",
    )


def check_crossed(people: Annotations, skeleton: Skeleton) -> list[Finding]:
    """Find people with left and right exchanged in one half of the body only.

    The lines from left to right at the two ends of a limb, such as shoulders and hips, then point
    into opposite directions.
    """
    other = skeleton.flip_indices
    limbs = [] if other is None else _limbs(skeleton.edges, other)
    if other is None or not limbs:
        return []
    a, b = np.array(limbs).T
    ends = np.stack([a, b, other[a], other[b]])  # (4, L)

    def compare(_: Array, points: Columns) -> NDArray[np.int8]:
        x, y = points.x[ends], points.y[ends]  # (4, L, n)
        first, second = (x[0] - x[2], y[0] - y[2]), (x[1] - x[3], y[1] - y[3])
        widths = np.hypot(*first), np.hypot(*second)
        limb = np.hypot(*(c[0] + c[2] - c[1] - c[3] for c in (x, y))) / 2
        told = (points.visible[ends] > 0).all(0) & (np.minimum(*widths) > _WIDTH * limb + 1)
        cosine = (first[0] * second[0] + first[1] * second[1]) / np.maximum(
            widths[0] * widths[1], 1e-9
        )
        signs = np.where(told & (np.abs(cosine) > _PARALLEL), np.sign(cosine), 0)
        return np.asarray(signs.T, np.int8)

    signs = people.every(compare)  # (N, L)
    found = [
        _of_limb(
            people, signs[:, i], [skeleton.keypoints[k] for k in (first, other[second], second)]
        )
        for i, (first, second) in enumerate(limbs)
    ]
    return [f for f in found if f is not None]


def _of_limb(people: Annotations, signs: NDArray[np.int8], names: Sequence[str]) -> Finding | None:
    """Judge a limb by its signs ``(N,)``: -1 crossed, 1 straight, 0 where it cannot be told."""
    crossed = signs < 0
    told = int((signs != 0).sum())
    if crossed.sum() < max(_NUM_PEOPLE, _CROSSED * told):
        return None
    return of_rows(
        "warning",
        crossed,
        f"people ({crossed.sum() / told:.0%} of {told}) have {names[0]} on the side of {names[1]}, "
        f"not of {names[2]}",
        name=people.name,
        remedy="Are left and right exchanged in one half of the body?",
    )


def _limbs(edges: Sequence[tuple[int, int]], other: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return edges whose both ends have a partner on the other side, each pair of edges once."""
    edges = [(a, b) for a, b in edges if other[a] != a and other[b] != b and other[a] != b]
    seen: set[frozenset[int]] = set()
    limbs = []
    for a, b in edges:
        if frozenset((a, b)) not in seen:
            limbs.append((a, b))
            seen |= {frozenset((a, b)), frozenset((int(other[a]), int(other[b])))}
    return limbs
