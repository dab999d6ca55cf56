"""Checks of training and validation sets against each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.finding import Finding, of_items

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)$")
_NEAR = 3  # numbers that two frames of one video may differ by
_ALIKE = 6.0  # levels of 255 that neighboring frames differ by
_UNLIKE = 3.0  # times as much that any two images must differ
_NUM_PAIRS = 3


def check_same_files(train: Sequence[str], val: Sequence[str]) -> Finding | None:
    """Find files that are in both sets."""
    shared = sorted(set(train) & set(val))
    what = f"of {len(set(val))} validation images are training images too"
    remedy = "Metrics would measure memory: divide them (data.train.val_fraction=0.1)"
    return of_items("warning", shared, what, remedy=remedy)


def check_same_content(train: Mapping[str, int], val: Mapping[str, int]) -> Finding | None:
    """Find copies: files of the same checksum, by name."""
    by_sum = {checksum: name for name, checksum in train.items()}
    copies = [
        f"{name} is {by_sum[c]}" for name, c in val.items() if c in by_sum and name not in train
    ]
    what = "validation images are copies of training images"
    return of_items("warning", copies, what, remedy="Take them out of one of the sets")


def check_groups(train: Sequence[str], val: Sequence[str], *, group_by: str) -> Finding | None:
    """Find groups, such as videos or people, that are in both sets."""
    shared = sorted(set(train) & set(val))
    what = f"groups of data.group_by={group_by} are in both sets"
    return of_items("warning", shared, what, remedy="Move each of them to one of the sets")


def check_size(val: int) -> Finding | None:
    """Find a validation set that measures nothing."""
    if val > 1:
        return None
    return Finding(
        severity="warning",
        what="the validation set has one sample, so its metrics say little",
        remedy="data.train.val_fraction=0.2 takes more where one set is divided",
    )


def neighbors(train: Sequence[str], val: Sequence[str]) -> list[tuple[int, int]]:
    """Return indices (train, val) of files whose names differ by a few numbers only."""
    places: dict[tuple[str, str], dict[int, int]] = {}
    for i, name in enumerate(train):
        if found := _NUMBERED.match(name):
            places.setdefault((found[1], found[3]), {})[int(found[2][-15:])] = i
    pairs = []
    for j, name in enumerate(val):
        found = _NUMBERED.match(name)
        near = places.get((found[1], found[3]), {}) if found else {}
        number = int(found[2][-15:]) if found else 0
        offsets = (sign * step for step in range(1, _NEAR + 1) for sign in (1, -1))
        place = next((near[number + o] for o in offsets if number + o in near), None)
        if place is not None:
            pairs.append((place, j))
    return pairs


def check_frames(
    pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], names: Sequence[str]
) -> Finding | None:
    """Find neighboring frames of videos on both sides.

    Args:
        pairs: small gray images of equal size, of a training image and of the validation image
            with the nearest number.
        names: of the validation images.
    """
    if len(pairs) < _NUM_PAIRS:
        return None
    near = np.array([np.abs(a - b).mean() for a, b in pairs])
    others = np.array([np.abs(a - pairs[i - 1][1]).mean() for i, (a, _) in enumerate(pairs)])
    alike = near < np.minimum(_ALIKE, others / _UNLIKE)
    if alike.mean() < 0.5:
        return None
    shown = [name for name, is_alike in zip(names, alike, strict=True) if is_alike]
    what = f"of {len(names)} validation images looked into are nearly a training image's twin"
    remedy = (
        "Are they frames of one video? Divide by video (data.group_by=folder), or into train/, val/"
    )
    return of_items("warning", shown, what, remedy=remedy)
