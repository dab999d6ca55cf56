"""``Statistics``: what was counted while a dataset was examined, for histograms and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


def _none(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """Of one split. Empty arrays and tables where a dataset has nothing of the kind.

    ``n`` images were read, ``m`` people are known, ``k`` maps were read.
    """

    num_samples: int
    num_images: int
    image_sizes: NDArray[np.float32] = field(default_factory=lambda: _none(0, 2))  # (n, 2) h, w
    brightness: NDArray[np.float32] = field(default_factory=lambda: _none(0))  # (n,) 0..255
    saturation: NDArray[np.float32] = field(default_factory=lambda: _none(0))  # (n,) 0..255
    box_sizes: NDArray[np.float32] = field(default_factory=lambda: _none(0, 2))  # (m, 2) h, w
    labeled_fraction: NDArray[np.float32] = field(default_factory=lambda: _none(0))  # (m,)
    visible_fraction: NDArray[np.float32] = field(default_factory=lambda: _none(0))  # (m,)
    labeled: Mapping[str, int] = field(default_factory=dict)  # people by keypoint
    visible: Mapping[str, int] = field(default_factory=dict)  # people by keypoint
    num_people: int = 0
    class_pixels: Mapping[str, int] = field(default_factory=dict)  # of the maps, by class
    depth_ranges: NDArray[np.float32] = field(default_factory=lambda: _none(0, 2))  # (k, 2)
    num_maps: int = 0

    @property
    def num_read(self) -> int:
        """How many images were read."""
        return len(self.brightness)
