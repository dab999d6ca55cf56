"""Smoothing over the frames of a video: keypoints and boxes by the One-Euro filter, maps by a mean.

Casiez, Roussel and Vogel, "1 Euro filter", CHI 2012: a low-pass filter whose cutoff rises with the
speed of its signal, so that what rests does not tremble and what moves does not lag. Nothing here
is used when a model is evaluated.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.normal import NormalResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import Result
from sapiens_lab.ranges import NonNegative, Positive

_FORGET_S = 1.0  # someone who was away for longer starts again
_DERIVATIVE_CUTOFF_HZ = 1.0  # as in the paper


@dataclass(slots=True, kw_only=True)
class OneEuro:
    """The filter of one signal, an array of points ``(..., D)``.

    Speeds are measured in sizes of the person per second, so that the settings hold for every
    resolution and distance.

    Args:
        min_cutoff_hz: of what rests: lower trembles less.
        beta: how much the cutoff rises with speed [Hz per size/s]: higher lags less.
    """

    min_cutoff_hz: Positive = 1.0
    beta: NonNegative = 10.0
    _value: NDArray[np.float64] | None = None
    _slope: NDArray[np.float64] | None = None
    time_s: float = 0.0  # of the last value

    def __call__(
        self, value: NDArray[np.float64], time_s: float, size: float = 1.0
    ) -> NDArray[np.float64]:
        """Return the next value, filtered.

        Args:
            value: ``(..., D)``, of the same shape every time.
            time_s: when it was measured.
            size: of the person, in the value's unit.
        """
        elapsed = time_s - self.time_s
        if self._value is None or self._slope is None:
            self._value, self._slope = value, np.zeros_like(value)
        elif elapsed > 0:
            slope = (value - self._value) / elapsed
            weight = _weight(np.float64(_DERIVATIVE_CUTOFF_HZ), elapsed)
            self._slope = weight * slope + (1 - weight) * self._slope
            speed = np.linalg.norm(self._slope, axis=-1, keepdims=True) / size
            weight = _weight(self.min_cutoff_hz + self.beta * speed, elapsed)
            self._value = weight * value + (1 - weight) * self._value
        self.time_s = time_s
        return self._value


def _weight(cutoff_hz: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
    """Return the weight of the newest value, equation 5 of the paper."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * elapsed_s))


@dataclass(slots=True, kw_only=True)
class PointSmoother:
    """A One-Euro filter for every person, by number; those who left are forgotten.

    Args:
        min_cutoff_hz: as ``OneEuro``.
        beta: as ``OneEuro``.
    """

    min_cutoff_hz: Positive = 1.0
    beta: NonNegative = 10.0
    _filters: dict[Hashable, OneEuro] = field(default_factory=dict)

    def boxes(self, boxes: Boxes, ids: Sequence[int], time_s: float) -> Boxes:
        """Return the boxes of a frame, each smoothed over the frames before."""
        corners = boxes.xyxy.reshape(-1, 2, 2)
        xyxy = self._smooth(corners, ids, _sizes(boxes), time_s).reshape(-1, 4)
        return replace(boxes, xyxy=xyxy)

    def pose(self, result: PoseResult, ids: Sequence[int], time_s: float) -> PoseResult:
        """Return the keypoints of a frame, each smoothed over the frames before."""
        points = self._smooth(result.keypoints, ids, _sizes(result.boxes), time_s)
        return replace(result, keypoints=points)

    def _smooth(
        self, points: NDArray[np.float32], ids: Sequence[int], sizes: list[float], time_s: float
    ) -> NDArray[np.float32]:
        self._filters = {i: f for i, f in self._filters.items() if time_s - f.time_s <= _FORGET_S}
        out = np.empty_like(points)
        for n, (person, size) in enumerate(zip(ids, sizes, strict=True)):
            if person not in self._filters:
                self._filters[person] = OneEuro(min_cutoff_hz=self.min_cutoff_hz, beta=self.beta)
            out[n] = self._filters[person](points[n].astype(np.float64), time_s, size)
        return out


def _sizes(boxes: Boxes) -> list[float]:
    """Return the longer side of each box [pixels]."""
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    return [max(float(size), 1.0) for size in sides.max(1, initial=1.0)]


@dataclass(slots=True, kw_only=True)
class MapSmoother:
    """A mean of depth or normals over the frames before, weighted by ``exp(-age / time_s)``.

    Maps are averaged where they are: what moves leaves a trace. Parts are left as they are, since
    classes have no mean.

    Args:
        time_constant_s: how far back the mean reaches.
    """

    time_constant_s: Positive
    _maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _time_s: float = 0.0

    def __call__(self, results: Sequence[Result], time_s: float) -> list[Result]:
        """Return the results of a frame with smoothed maps."""
        old = float(np.exp(-max(time_s - self._time_s, 0.0) / self.time_constant_s))
        self._time_s = time_s
        smoothed: list[Result] = []
        for result in results:
            if isinstance(result, DepthResult):
                smoothed.append(replace(result, depth=self._mean("depth", result.depth, old)))
            elif isinstance(result, NormalResult):
                mean = self._mean("normal", result.normal, old)
                length = np.linalg.norm(mean, axis=-1, keepdims=True)
                smoothed.append(replace(result, normal=mean / np.maximum(length, 1e-6)))
            else:
                smoothed.append(result)
        return smoothed

    def _mean(self, name: str, new: NDArray[np.float32], old: float) -> NDArray[np.float32]:
        before = self._maps.get(name)
        if before is None or before.shape != new.shape:
            mean = new
        else:
            mean = np.float32(old) * before + np.float32(1 - old) * new
            mean = np.where(np.isfinite(mean), mean, new)
        self._maps[name] = mean
        return mean
