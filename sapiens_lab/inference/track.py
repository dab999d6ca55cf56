"""``Tracker``: which box of a frame is which person of the frames before.

Every track moves on with its last velocity, and boxes go to the tracks that they overlap most,
the surest pair first. A track that finds no box waits a while for its person to come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.ranges import Count, Fraction

_NEWEST = 0.5  # weight of the last step in a track's velocity


@dataclass(slots=True, kw_only=True)
class _Track:
    """A person as last seen."""

    id: int
    box: NDArray[np.float64]  # (4,) xyxy
    score: float
    time_s: float
    velocity: NDArray[np.float64]  # (2,) of the center [pixels/s]
    missed: int = 0  # updates without a box

    def at(self, time_s: float) -> NDArray[np.float64]:
        """Return where the box will be."""
        return self.box + np.tile(self.velocity, 2) * (time_s - self.time_s)

    def see(self, box: NDArray[np.float64], score: float, time_s: float) -> None:
        """Take the box of a later frame."""
        elapsed = time_s - self.time_s
        if elapsed > 0:
            step = (box - self.box).reshape(2, 2).mean(0) / elapsed
            self.velocity = _NEWEST * step + (1 - _NEWEST) * self.velocity
        self.box, self.score, self.time_s, self.missed = box, score, time_s, 0


@dataclass(slots=True, kw_only=True)
class Tracker:
    """Gives people numbers, from 1, that last over the frames of a video.

    Args:
        min_iou: a box belongs to a track only where they overlap so much.
        max_missed: a track ends after more updates than this without a box.
    """

    min_iou: Fraction = 0.3
    max_missed: Count = 30
    _tracks: list[_Track] = field(default_factory=list)
    _last_id: int = 0

    def update(self, boxes: Boxes, time_s: float) -> list[int]:
        """Return the number of the person in each box of the next frame.

        Args:
            boxes: of the people in it.
            time_s: of the frame; later than the one before.
        """
        found = boxes.xyxy.astype(np.float64)
        expected = np.array([t.at(time_s) for t in self._tracks]).reshape(-1, 4)
        pairs = match(overlaps(expected, found), self.min_iou)
        for track in self._tracks:
            track.missed += 1
        owners = {column: self._tracks[row] for row, column in pairs}
        for i, (box, score) in enumerate(zip(found, boxes.scores.tolist(), strict=True)):
            if i in owners:
                owners[i].see(box, score, time_s)
            else:
                owners[i] = self._begin(box, score, time_s)
        self._tracks = [t for t in self._tracks if t.missed <= self.max_missed]
        return [owners[i].id for i in range(len(found))]

    def expected(self, time_s: float) -> tuple[Boxes, list[int]]:
        """Return where the people of the last update will be, and their numbers."""
        seen = [track for track in self._tracks if track.missed == 0]
        boxes = Boxes(
            xyxy=np.array([t.at(time_s) for t in seen], np.float32).reshape(-1, 4),
            scores=np.array([t.score for t in seen], np.float32),
        )
        return boxes, [track.id for track in seen]

    def _begin(self, box: NDArray[np.float64], score: float, time_s: float) -> _Track:
        self._last_id += 1
        track = _Track(id=self._last_id, box=box, score=score, time_s=time_s, velocity=np.zeros(2))
        self._tracks.append(track)
        return track


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union ``(A, B)`` of boxes ``(A, 4)`` and ``(B, 4)`` xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas_a, areas_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b))
    return np.asarray(both / np.maximum(areas_a[:, None] + areas_b[None] - both, 1e-9))


def match(scores: NDArray[np.float64], lowest: float) -> list[tuple[int, int]]:
    """Return pairs of a row and a column, each at most once, the highest score first."""
    pairs: list[tuple[int, int]] = []
    left = scores.copy()
    while left.size and left.max() >= lowest:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(row), int(column)))
        left[row], left[:, column] = -1, -1
    return pairs
