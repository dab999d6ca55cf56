"""``Annotations``: all people of a dataset at once, for checks that look at every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.keypoints import Columns

CHUNK = 10_000  # people that are looked at together, so that a million need little memory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotations:
    """``N`` people as a dataset holds them, in its order."""

    boxes: NDArray[np.floating[Any]]  # (N, 4) xyxy source pixels
    points: NDArray[np.floating[Any]]  # (N, K, 3) x, y, visible 0..2
    image_index: NDArray[np.int64]  # (N,) index into the dataset's images
    name: Callable[[int], str]  # names a person

    def __len__(self) -> int:
        return len(self.boxes)

    def chunks(self) -> Iterator[tuple[NDArray[np.float64], Columns]]:
        """Yield boxes ``(n, 4)`` and keypoints of at most ``CHUNK`` people at a time."""
        for start in range(0, len(self), CHUNK):
            rows = slice(start, start + CHUNK)
            yield (
                self.boxes[rows].astype(np.float64),
                Columns.of(self.points[rows].astype(np.float64)),
            )

    def every(
        self, function: Callable[[NDArray[np.float64], Columns], NDArray[Any]]
    ) -> NDArray[Any]:
        """Return what a function of boxes and keypoints says of each person, ``(N, ...)``."""
        return np.concatenate([function(boxes, points) for boxes, points in self.chunks()])
