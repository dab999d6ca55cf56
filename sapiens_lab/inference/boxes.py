"""``Boxes``: people in an image, and which of them are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.ranges import Count, Fraction, NonNegative


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Boxes of people, in pixels of the source image."""

    xyxy: NDArray[np.float32]  # (N, 4)
    scores: NDArray[np.float32]  # (N,) of the detector; 1 where given

    def __len__(self) -> int:
        return len(self.xyxy)

    @staticmethod
    def of(values: Any, name: object = "boxes") -> Boxes:
        """Take boxes ``(N, 4)`` xyxy or, with scores, ``(N, 5)``; or boxes as they are.

        Raises:
            ValueError: they have another shape, or values that no box has.
        """
        if isinstance(values, Boxes):
            return values
        try:
            array = np.asarray(values, np.float32)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: boxes are rows of x1, y1, x2, y2, not {values!r}") from error
        array = array.reshape(-1, 4) if array.size == 0 else np.atleast_2d(array)
        if array.ndim != 2 or array.shape[1] not in (4, 5) or not np.isfinite(array).all():
            raise ValueError(
                f"{name}: boxes are rows of x1, y1, x2, y2 in pixels, with a score perhaps; these "
                f"are {array.shape}" + ("" if np.isfinite(array).all() else ", and not finite")
            )
        flat = (array[:, 2] <= array[:, 0]) | (array[:, 3] <= array[:, 1])
        if flat.any():
            raise ValueError(
                f"{name}: {flat.sum()} of {len(array)} boxes have no area, e.g. "
                f"{array[flat][0, :4].tolist()}; boxes are x1, y1, x2, y2, not width and height"
            )
        scores = array[:, 4] if array.shape[1] == 5 else np.ones(len(array), np.float32)
        return Boxes(xyxy=np.ascontiguousarray(array[:, :4]), scores=scores)

    def take(self, indices: Sequence[int] | NDArray[Any]) -> Boxes:
        """Return some of the boxes, in this order."""
        return Boxes(xyxy=self.xyxy[indices], scores=self.scores[indices])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of a detector's boxes are people to look at.

    Args:
        min_score: boxes below it are left out.
        nms: of two boxes whose intersection over union is larger, the one with the lower score is
            left out; 1 keeps all.
        min_size: boxes whose longer side has fewer pixels are left out.
        top_k: at most so many, those with the highest scores.
    """

    min_score: Fraction = 0.3
    nms: Fraction = 0.65
    min_size: NonNegative = 0.0
    top_k: Count | None = None

    def __call__(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """Return the boxes that are kept, the best first, cut to an image of (height, width)."""
        limits = np.array([size[1] - 1, size[0] - 1] * 2, np.float32)
        xyxy = np.clip(boxes.xyxy, 0, limits)
        sides = xyxy[:, 2:] - xyxy[:, :2]
        large = (sides.min(1) > 0) & (sides.max(1) >= self.min_size)
        chosen = np.flatnonzero(large & (boxes.scores >= self.min_score))
        chosen = chosen[np.argsort(-boxes.scores[chosen], kind="stable")]
        cut = Boxes(xyxy=xyxy, scores=boxes.scores).take(chosen)
        kept = suppress(cut, self.nms) if self.nms < 1 else list(range(len(cut)))
        return cut.take(kept[: self.top_k])


def suppress(boxes: Boxes, threshold: float) -> list[int]:
    """Return the indices that greedy non-maximum suppression keeps, of boxes best first."""
    kept: list[int] = []
    areas = np.prod(boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], axis=1)
    for i, box in enumerate(boxes.xyxy):
        low = np.maximum(box[:2], boxes.xyxy[kept, :2])
        high = np.minimum(box[2:], boxes.xyxy[kept, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        if not (shared > threshold * (areas[i] + areas[kept] - shared)).any():
            kept.append(i)
    return kept
