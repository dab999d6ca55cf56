"""Checks of label maps and foreground masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.checks.finding import Finding, of_items
from sapiens_lab.data.checks.maps import Look

_MIXED = 0.25  # of the changes of an id that may pass through one between
_NUM_CHANGES = 50
_THIN = 3  # pixels that a mixture is wide
_IGNORED = 0.5  # of the pixels that may be ignored where the list has a background
_BORDER = 0.02  # of the border's pixels that are background at least
_NUM_MAPS = 3


def mixed_fraction(ids: NDArray[Any]) -> float:
    """Return the fraction of changes along rows that pass through an id between the two.

    A map that was resized smoothly has such mixtures along all edges: 10 between 0 and 20.
    """
    values = ids.astype(np.int16).ravel()
    starts = np.flatnonzero(np.diff(values)) + 1
    if len(starts) < _NUM_CHANGES:
        return 0.0
    runs = np.concatenate([values[:1], values[starts]])
    left, middle, right = runs[:-2], runs[1:-1], runs[2:]
    is_thin = np.diff(starts) <= _THIN
    between = ((left < middle) & (middle < right)) | ((left > middle) & (middle > right))
    return float(2 * (between & is_thin).sum() / len(starts))


def check_mixtures(looks: Sequence[Look]) -> Finding | None:
    """Find label maps that were resized with their values mixed."""
    mixed = [look.name for look in looks if look.mixed > _MIXED]
    what = f"of {len(looks)} label maps change from id to id through those between"
    remedy = "Were they resized smoothly, or saved lossy? Resize the originals to the nearest value"
    return of_items("warning", mixed, what, remedy=remedy)


def check_ignored(looks: Sequence[Look], parts: Parts) -> list[Finding]:
    """Find label maps that say nothing, and datasets of which most is ignored."""
    shares = [float((~look.valid).mean()) for look in looks]
    empty = [look.name for look, share in zip(looks, shares, strict=True) if share == 1]
    found = [
        of_items(
            "error" if len(empty) == len(looks) else "warning",
            empty,
            f"of {len(looks)} label maps are ignored whole",
            remedy="Say what 255 means under `merge` in the class list's YAML, or take them out",
        )
    ]
    if not empty and _has_background(parts) and shares and np.mean(shares) > _IGNORED:
        found.append(
            Finding(
                severity="warning",
                what=f"{np.mean(shares):.0%} of the pixels are ignored",
                remedy="Is background 255 in the files, as where zero was taken off the ids? "
                "`merge: {255: background}` in the class list's YAML reads it so",
            )
        )
    return [f for f in found if f is not None]


def check_classes(looks: Sequence[Look], parts: Parts) -> list[Finding]:
    """Find datasets with one class only, and ids that are shifted."""
    if not looks:
        return []
    counts = sum(
        np.bincount(look.values[look.valid].ravel(), minlength=256)[:256] for look in looks
    )
    present = np.flatnonzero(counts)
    if len(present) == 1 and parts.num_classes > 1:
        name = parts.classes[int(present[0])]
        return [
            Finding(
                severity="error" if len(looks) >= _NUM_MAPS else "warning",
                what=f"all {len(looks)} label maps that were looked into hold {name!r} alone",
                remedy=f"{parts.name!r} has {parts.num_classes} classes. Are these the label maps?",
            )
        ]
    single = [look.name for look in looks if len(np.unique(look.values[look.valid])) == 1]
    found = [
        of_items(
            "warning",
            single,
            f"of {len(looks)} label maps hold one class alone",
            remedy="Are these images without a person?",
        )
    ]
    if _has_background(parts) and len(looks) >= _NUM_MAPS:
        found.append(_check_border(looks, parts))
    return [f for f in found if f is not None]


def check_foreground(looks: Sequence[Look]) -> Finding | None:
    """Find foreground masks that cover the images' borders and leave their middle out."""
    inverted = []
    for look in looks:
        border, middle = _border(look.valid), _middle(look.valid)
        if border.mean() > 0.7 and middle.mean() < border.mean() / 2:
            inverted.append(look.name)
    if len(inverted) < _NUM_MAPS or len(inverted) < 0.7 * len(looks):
        return None
    what = f"of {len(looks)} masks cover the border of the image and not its middle"
    return of_items("warning", inverted, what, remedy="Are they inverted? The person is not zero")


def _check_border(looks: Sequence[Look], parts: Parts) -> Finding | None:
    background = [name.lower() for name in parts.classes].index("background")
    border = np.concatenate([_border(look.values)[_border(look.valid)] for look in looks])
    if not len(border) or (border == background).mean() >= _BORDER:
        return None
    common = int(np.bincount(border, minlength=1).argmax())
    return Finding(
        severity="warning",
        what=(
            f"{(border == background).mean():.0%} of the pixels at the borders of images are "
            f"background, most are {parts.classes[common]!r} ({common})"
        ),
        remedy="Are the ids in the files shifted by one? The class list starts at 0",
    )


def _has_background(parts: Parts) -> bool:
    return "background" in [name.lower() for name in parts.classes]


def _border(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _middle(values: NDArray[Any]) -> NDArray[Any]:
    height, width = values.shape[:2]
    return values[height // 3 : height - height // 3, width // 3 : width - width // 3]
