"""``Look``: a map and its image, thinned out, and checks of whether the two belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.finding import Finding, of_items

SIDE = 256  # pixels of the longer side of a thinned map, at most

_BETTER = 1.1  # ratio of scores from which one place of a map fits better than another
_NUM_BETTER = 3  # samples that must fit better elsewhere
_MAJORITY = 3.0  # times as many as fit better where they are
_COVERED = 0.9  # of a mask that a dense map has values for
_BESIDE = 0.02  # of the rest that it may have values for by error
_NUM_EDGES = 30  # pixels that must lie on edges of a map


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What a check sees of a sample: every n-th pixel, so that many fit into memory."""

    name: str  # of the map's file
    index: int  # in the dataset
    values: NDArray[Any]  # (h, w) or (h, w, 3), as the dataset gives them
    valid: NDArray[np.bool_]  # (h, w) where they count
    low: float = 0.0  # smallest and largest valid value of the whole map
    high: float = 0.0
    density: float = 1.0  # fraction of the mask's pixels that have a value
    density_outside: float = 0.0  # and of those outside of the mask
    mixed: float = 0.0  # fraction of the changes along rows that pass through a value between
    gray: NDArray[np.float32] | None = None  # (h, w) the image


def step_for(size: tuple[int, ...]) -> int:
    """Return how far apart the pixels are that a ``Look`` keeps of a map."""
    return max(1, -(-max(size[:2]) // SIDE))


def check_alignment(looks: Sequence[Look], *, what: str) -> list[Finding]:
    """Find maps that fit their images better flipped, or fit their neighbors' images better.

    Edges of a map lie where the image changes. How much it does there, compared with the whole
    image, is the score of a place for a map.
    """
    usable = [look for look in looks if look.gray is not None]
    gradients = {look.index: _gradient(look.gray) for look in usable if look.gray is not None}
    edges = {look.index: _edges(look) for look in usable}
    names = {look.index: look.name for look in usable}
    places = {
        f"{what}s fit their images better when they are flipped": (0, True),
        f"{what}s fit the image of the sample before better": (-1, False),
        f"{what}s fit the image of the next sample better": (1, False),
    }
    findings = [
        of_items(
            "warning",
            _fit_elsewhere(gradients, edges, names, shift=shift, flip=flip),
            f"of {len(edges)} {title}",
            remedy="Were images or maps flipped or renamed alone?",
        )
        for title, (shift, flip) in places.items()
    ]
    return [f for f in findings if f is not None]


def check_coverage(looks: Sequence[Look], *, what: str) -> Finding | None:
    """Find maps whose values lie beside their masks: of another sample, or flipped.

    Sparse maps have as few values inside of the mask as outside.
    """
    beside = [
        look.name
        for look in looks
        if look.density < _COVERED and _BESIDE < look.density_outside < look.density / 2
    ]
    title = f"of {len(looks)} {what}s lie partly beside their masks"
    return of_items("warning", beside, title, remedy="Are map and mask of the same image?")


def _fit_elsewhere(
    gradients: dict[int, NDArray[np.float32]],
    edges: dict[int, NDArray[np.bool_]],
    names: dict[int, str],
    *,
    shift: int,
    flip: bool,
) -> list[str]:
    """Return the names of maps that fit another place better, if they are nearly all."""
    elsewhere, here = [], 0
    for i, edge in edges.items():
        if i + shift not in gradients:
            continue
        own = _score(gradients[i], edge)
        other = _score(gradients[i + shift], edge[:, ::-1] if flip else edge)
        if own is None or other is None:
            continue
        if other > _BETTER * own:
            elsewhere.append(names[i])
        here += own > _BETTER * other
    enough = len(elsewhere) >= max(_NUM_BETTER, _MAJORITY * here)
    return elsewhere if enough else []


def _score(gradient: NDArray[np.float32], edge: NDArray[np.bool_]) -> float | None:
    if edge.shape != gradient.shape:
        resized = cv2.resize(edge.astype(np.uint8), gradient.shape[::-1], interpolation=0)
        edge = resized > 0
    if edge.sum() < _NUM_EDGES:
        return None
    return float(gradient[edge].mean() / max(float(gradient.mean()), 1e-6))


def _gradient(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much an image changes about each pixel."""
    down, across = np.gradient(gray)
    size = np.hypot(down, across).astype(np.float32)
    return np.asarray(cv2.dilate(size, np.ones((3, 3), np.uint8)))


def _edges(look: Look) -> NDArray[np.bool_]:
    """Return where a map's valid region ends, or its values jump."""
    values = np.where(look.valid[..., None], np.atleast_3d(look.values).astype(np.float32), 0)
    spread = values[look.valid]
    scale = float(np.percentile(np.abs(spread - np.median(spread, 0)), 90)) if spread.size else 0
    is_ids = look.values.dtype.kind in "iu"
    limit = 0.5 if is_ids else max(scale, 1e-6) / 2
    jump = np.zeros(look.valid.shape, bool)
    for axis in (0, 1):
        change = np.abs(np.diff(values, axis=axis)).max(-1) > limit
        change |= np.diff(look.valid, axis=axis)
        low, high = [slice(None)] * 2, [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        jump[tuple(low)] |= change
        jump[tuple(high)] |= change
    return jump
