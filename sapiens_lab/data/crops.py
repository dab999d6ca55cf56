"""Which part of the whole image becomes the input: for tasks that do not look at one person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.transforms import Generator, frame
from sapiens_lab.geometry import Matrix
from sapiens_lab.ranges import Count, Fraction, ImageSize, Positive


@dataclass(frozen=True, slots=True)
class Resize:
    """Make the whole image the input, whatever its aspect; the official dense evaluation."""

    image_size: ImageSize  # (height, width)

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with the resize planned."""
        return frame(sample, geometry.resize(sample.image.size, self.image_size), self.image_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomScaledCrop:
    """Resize by a random factor and cut a window out, as the official dense recipes do.

    The factor 1 is the one at which the image just fits the input, long side to long side
    (``RandomResize`` with ``keep_ratio``). Where the resized image is smaller than the input,
    the window is the whole of it, stretched. A window in which one class covers more than
    ``max_fraction`` is drawn again (``RandomCrop`` with ``cat_max_ratio``).
    """

    image_size: ImageSize  # (height, width)
    ratio: tuple[Positive, Positive] = (0.2, 2.0)
    max_fraction: Fraction = 0.75  # has no effect without labels
    tries: Count = 10

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with one resize planned that shows the window."""
        height, width = sample.image.size
        target = sorted(self.image_size)
        fit = min(target[1] / max(height, width), target[0] / min(height, width))
        factor = fit * rng.uniform(*self.ratio)
        extent = np.minimum(np.array(self.image_size) / factor, (height, width))  # source pixels
        for attempt in range(self.tries + 1):
            corner = rng.random(2) * ((height, width) - extent)
            if attempt == self.tries or self._is_varied(sample, corner, extent):
                break
        return frame(sample, _window(corner, extent, self.image_size), self.image_size)

    def _is_varied(
        self, sample: Sample, corner: NDArray[np.float64], extent: NDArray[np.float64]
    ) -> bool:
        if sample.labels is None or self.max_fraction >= 1:
            return True
        top, left = corner.astype(int)
        bottom, right = np.ceil(corner + extent).astype(int)
        step = max(1, int(extent.min() / 128))  # a fraction needs no more pixels than that
        window = sample.labels.ids[top:bottom:step, left:right:step]
        counts = np.bincount(window.ravel(), minlength=256)
        counts[sample.labels.ignore_index] = 0
        return bool((counts > 0).sum() > 1 and counts.max() < self.max_fraction * counts.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomResizedCrop:
    """Resize a random window of random area and aspect to the input; official in pretraining.

    Where ten draws do not fit into the image, the largest window of the input's aspect in its
    center is taken.
    """

    image_size: ImageSize  # (height, width)
    area: tuple[Positive, Positive] = (0.2, 1.0)  # fraction of the image
    aspect: tuple[Positive, Positive] = (
        3 / 4,
        4 / 3,
    )  # width / height, over the input's own
    tries: Count = 10

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with the window planned."""
        height, width = sample.image.size
        own = self.image_size[1] / self.image_size[0]
        for _ in range(self.tries):
            pixels = height * width * rng.uniform(*self.area)
            low, high = (math.log(a * own) for a in self.aspect)
            aspect = math.exp(rng.uniform(low, high))
            extent = np.array([math.sqrt(pixels / aspect), math.sqrt(pixels * aspect)])
            if (extent <= (height, width)).all():
                corner = rng.random(2) * ((height, width) - extent)
                return frame(sample, _window(corner, extent, self.image_size), self.image_size)
        return CenterCrop(self.image_size)(sample, rng)


@dataclass(frozen=True, slots=True)
class CenterCrop:
    """Make the largest window of the input's aspect, in the center of the image, the input."""

    image_size: ImageSize  # (height, width)

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with the window planned."""
        size = np.array(sample.image.size, np.float64)
        extent = np.array(self.image_size) * (size / self.image_size).min()
        return frame(sample, _window((size - extent) / 2, extent, self.image_size), self.image_size)


def _window(
    corner: NDArray[np.float64], extent: NDArray[np.float64], size: tuple[int, int]
) -> Matrix:
    """Return the resize of a window to ``size``; all (y, x), from the first pixel's outer edge."""
    scale_y, scale_x = np.array(size) / extent
    return np.array(
        [
            [scale_x, 0.0, (0.5 - corner[1]) * scale_x - 0.5],
            [0.0, scale_y, (0.5 - corner[0]) * scale_y - 0.5],
        ]
    )
