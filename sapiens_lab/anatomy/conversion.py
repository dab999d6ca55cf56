"""Read the keypoints of one set as those of another, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sapiens_lab.anatomy.matching import match_names, places_of
from sapiens_lab.anatomy.skeleton import Skeleton

_ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvertedPoints:
    """Keypoints of the target set."""

    xy: NDArray[np.float64]  # (..., T, 2), NaN where missing
    score: NDArray[np.float64]  # (..., T), 0 where missing
    missing: tuple[str, ...]  # target keypoints that the source set does not have


def convert_points(
    xy: ArrayLike, score: ArrayLike, source: str | Path | Skeleton, target: str | Path | Skeleton
) -> ConvertedPoints:
    """Return keypoints of one set as those of another.

    Keypoints of one name, or of an alias of either set, correspond. A keypoint that the target
    defines as the middle of two others, such as the neck of OpenPose, is computed from these,
    unless the source defines it so too; its score is the lower of theirs. Nothing else is guessed.

    Args:
        xy: ``(..., S, 2)`` keypoints of ``source``, in any frame.
        score: ``(..., S)`` confidence, or COCO's visibility; 0 for a keypoint that is not there.
        source: what ``Skeleton.load`` understands.
        target: likewise, with ``T`` keypoints.

    Raises:
        ValueError: the arrays do not have the shapes that the source set demands.
    """
    source, target = Skeleton.load(source), Skeleton.load(target)
    points, scores = np.asarray(xy, np.float64), np.asarray(score, np.float64)
    S = source.num_keypoints
    if points.shape[-2:] != (S, 2) or scores.shape != points.shape[:-1]:
        raise ValueError(
            f"{source.name!r} has {S} keypoints: xy must be (..., {S}, 2) and score (..., {S}), "
            f"they are {points.shape} and {scores.shape}"
        )
    ends = _sources(source, target)  # (T, 2)
    pairs = points[..., ends, :]  # (..., T, 2, 2)
    pair_scores = scores[..., ends]  # (..., T, 2)
    lost = (ends == _ABSENT).any(1) | ((ends[:, 0] != ends[:, 1]) & (pair_scores <= 0).any(-1))
    return ConvertedPoints(
        xy=np.where(lost[..., None], np.nan, pairs.mean(-2)),
        score=np.where(lost, 0, pair_scores.min(-1)),
        missing=missing_points(source, target),
    )


def missing_points(source: str | Path | Skeleton, target: str | Path | Skeleton) -> tuple[str, ...]:
    """Return the keypoints of a set that cannot be had from another."""
    target = Skeleton.load(target)
    absent = (_sources(Skeleton.load(source), target) == _ABSENT).any(1)
    return tuple(n for n, gone in zip(target.keypoints, absent, strict=True) if gone)


@lru_cache(maxsize=32)
def _sources(source: Skeleton, target: Skeleton) -> NDArray[np.int64]:
    """Return the two source keypoints ``(T, 2)`` whose middle each target one is, mostly equal."""
    places = places_of(source.keypoints, source.aliases)
    found = [
        _ABSENT if i is None else i for i in match_names(target.keypoints, places, target.aliases)
    ]
    ends = np.array([(i, i) for i in found], np.int64).reshape(-1, 2)
    for point, (a, b) in target.midpoints.items():
        if found[point] not in source.midpoints and _ABSENT not in (found[a], found[b]):
            ends[point] = found[a], found[b]
    return ends
