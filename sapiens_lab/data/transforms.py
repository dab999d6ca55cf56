"""What happens to a sample between the disk and the batch.

A transform is a small frozen dataclass called with a sample and a random generator. Geometric
ones only multiply the sample's planned matrix; ``Warp`` samples every annotation once, at the end.
Photometric ones come after it and touch the pixels alone. A transform may return ``None`` to
reject the draw, and another sample then takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.sample import Sample

Generator = np.random.Generator


class Transform(Protocol):
    """One step of the pipeline."""

    def __call__(self, sample: Sample, rng: Generator) -> Sample | None:
        """Return the changed sample, or ``None`` to reject this draw."""


# ---- the box: which part of the picture the network will see -------------------------------------


@dataclass(frozen=True, slots=True)
class PadBox:
    """Enlarge the box about its middle."""

    factor: float = 1.25

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with a larger box."""
        return replace(sample, bbox=_scaled(sample.bbox, self.factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomHalfBody:
    """Now and then look at the upper or the lower half of the body only.

    Constants of the official pose recipe (``RandomHalfBody``): the new box is centred on the mean
    of the chosen keypoints and is ``padding`` times their extent.
    """

    skeleton: str | Skeleton  # knows which points are upper and lower; without them: no effect
    p: float = 0.3
    p_upper: float = 0.7  # where both halves have enough points
    padding: float = 1.5
    min_visible: int = 9
    min_upper: int = 2
    min_lower: int = 3

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps with the box of one half."""
        points = sample.keypoints
        if points is None or rng.random() >= self.p:
            return sample
        labelled = points.visible > 0
        if labelled.sum() < self.min_visible:
            return sample
        chosen = self._choose(labelled, rng)
        if chosen is None:
            return sample
        xy = geometry.apply(sample.meta.matrix, points.xy[chosen])
        extent = (xy.max(0) - xy.min(0)) * self.padding
        if extent.min() <= 0:
            return sample
        return replace(sample, bbox=geometry.bbox_around(xy.mean(0), extent))

    def _choose(self, labelled: NDArray[np.bool_], rng: Generator) -> list[int] | None:
        skeleton = Skeleton.load(self.skeleton)
        upper = [i for i in skeleton.upper_body if labelled[i]]
        lower = [i for i in skeleton.lower_body if labelled[i]]
        options = [
            half
            for half, least in ((upper, self.min_upper), (lower, self.min_lower))
            if len(half) >= least
        ]
        if len(options) == 2:
            return options[0] if rng.random() < self.p_upper else options[1]
        return options[0] if options else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomShiftScaleRotate:
    """Shift and scale the box, turn the picture about it.

    All three draws are standard normal cut at one deviation (official ``RandomBBoxTransform``),
    so ``shift``, ``scale`` and ``rotate_deg`` are the largest values that occur.
    """

    shift: float = 0.16  # of the box's width and height
    p_shift: float = 0.3
    scale: float = 0.5  # the factor lies in 1 - scale .. 1 + scale
    p_scale: float = 1.0
    rotate_deg: float = 80.0
    p_rotate: float = 0.6

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with a moved box and a turned plan."""
        box = sample.bbox
        if rng.random() < self.p_shift:
            offset = np.array([_truncated_normal(rng), _truncated_normal(rng)]) * self.shift
            box = (box + np.tile(offset * (box[2:] - box[:2]), 2)).astype(np.float32)
        if rng.random() < self.p_scale:
            box = _scaled(box, 1 + _truncated_normal(rng) * self.scale)
        angle = _truncated_normal(rng) * self.rotate_deg if rng.random() < self.p_rotate else 0.0
        return sample.move(geometry.rotate(angle, geometry.bbox_center(box)), box)


@dataclass(frozen=True, slots=True)
class RandomMirror:
    """Mirror about the middle of the box; does nothing where left/right pairs are not known."""

    p: float = 0.5

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps mirrored."""
        if rng.random() >= self.p or not sample.can_mirror:
            return sample
        center_x = float(geometry.bbox_center(sample.bbox)[0])
        return sample.move(geometry.mirror(center_x))


@dataclass(frozen=True, slots=True)
class CropToBox:
    """Make the box, grown to the input's aspect, the whole input."""

    image_size: tuple[int, int]  # (height, width)

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with the crop planned."""
        height, width = self.image_size
        box = geometry.grow_to_aspect(sample.bbox, width / height)
        whole = np.array([0, 0, width - 1, height - 1], np.float32)
        return sample.move(geometry.crop(box, self.image_size), whole)


@dataclass(frozen=True, slots=True)
class Warp:
    """Sample the picture and every annotation through the planned matrix, once."""

    image_size: tuple[int, int]  # (height, width)
    antialias: bool = False  # average blocks where the crop shrinks by two or more

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample in the input frame; ``meta.matrix`` still leads from the source."""
        matrix, size = sample.meta.matrix, self.image_size
        return replace(
            sample,
            image=sample.image.warp(matrix, size, antialias=self.antialias),
            keypoints=sample.keypoints and sample.keypoints.warp(matrix, size),
            labels=sample.labels and sample.labels.warp(matrix, size),
            depth=sample.depth and sample.depth.warp(matrix, size),
            normal=sample.normal and sample.normal.warp(matrix, size),
        )


@dataclass(frozen=True, slots=True)
class RequireKeypoints:
    """Reject a draw whose crop has lost too many labelled keypoints. Goes after ``Warp``."""

    min_inside: int = 4

    def __call__(self, sample: Sample, rng: Generator) -> Sample | None:
        """Return the sample, or ``None`` if fewer than ``min_inside`` points lie in the picture."""
        if sample.keypoints is None:
            return sample
        height, width = sample.image.size
        x, y = sample.keypoints.xy.T
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        count = int((inside & (sample.keypoints.visible > 0)).sum())
        return sample if count >= self.min_inside else None


# ---- the pixels ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotometricDistortion:
    """Random brightness, contrast, saturation, hue and, for pose, channel order.

    The official parameters. Two faults of the official pose version are not repeated: its contrast
    was applied twice or never, and its hue was cut off instead of wrapped.
    """

    brightness: float = 32.0  # grey levels
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: int = 18  # half degrees, as OpenCV counts
    p: float = 0.5  # of each of the four
    p_channel_shuffle: float = 0.0

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with other colours."""
        brightness = self._draw(rng, (-self.brightness, self.brightness), neutral=0.0)
        contrast = self._draw(rng, self.contrast, neutral=1.0)
        saturation = self._draw(rng, self.saturation, neutral=1.0)
        hue = int(self._draw(rng, (-self.hue, self.hue), neutral=0.0))
        contrast_first = rng.random() < 0.5
        pixels = _tone(sample.image.pixels, brightness, contrast if contrast_first else 1.0)
        pixels = _recolour(pixels, saturation, hue)
        pixels = _tone(pixels, 0.0, 1.0 if contrast_first else contrast)
        if rng.random() < self.p_channel_shuffle:
            pixels = np.ascontiguousarray(pixels[..., rng.permutation(3)])
        return replace(sample, image=replace(sample.image, pixels=pixels))

    def _draw(self, rng: Generator, bounds: tuple[float, float], *, neutral: float) -> float:
        return rng.uniform(*bounds) if rng.random() < self.p else neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomBlur:
    """Mean or median blur over an odd window of ``min_size..max_size`` pixels."""

    p_mean: float = 0.1
    p_median: float = 0.1
    min_size: int = 3
    max_size: int = 7

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps less sharp."""
        pixels = sample.image.pixels
        if rng.random() < self.p_mean:
            size = self._window(rng)
            pixels = cv2.blur(pixels, (size, size)).astype(np.uint8, copy=False)
        if rng.random() < self.p_median:
            pixels = cv2.medianBlur(pixels, self._window(rng)).astype(np.uint8, copy=False)
        return replace(sample, image=replace(sample.image, pixels=pixels))

    def _window(self, rng: Generator) -> int:
        return int(rng.integers(self.min_size // 2, self.max_size // 2 + 1)) * 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseDropout:
    """Paint one rectangle black. The keypoints under it stay labelled: they are occluded.

    The official pose recipe does this to every training sample.
    """

    p: float = 1.0
    min_share: float = 0.2  # of the picture's height and of its width
    max_share: float = 0.4

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with a hole."""
        if rng.random() >= self.p:
            return sample
        size = np.array(sample.image.size)
        extent = (rng.uniform(self.min_share, self.max_share, 2) * size).astype(int)
        top, left = (rng.random(2) * (size - extent + 1)).astype(int)
        pixels = sample.image.pixels.copy()
        pixels[top : top + extent[0], left : left + extent[1]] = 0
        return replace(sample, image=replace(sample.image, pixels=pixels))


def _scaled(bbox: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    return geometry.bbox_around(geometry.bbox_center(bbox), (bbox[2:] - bbox[:2]) * factor)


def _truncated_normal(rng: Generator) -> float:
    """Draw a standard normal number that lies within one deviation."""
    while abs(value := rng.standard_normal()) > 1:
        pass
    return float(value)


def _tone(pixels: NDArray[np.uint8], offset: float, gain: float) -> NDArray[np.uint8]:
    """Add ``offset`` and then multiply by ``gain``, clipping as 8-bit pixels do after each."""
    if (offset, gain) == (0.0, 1.0):
        return pixels
    levels = np.clip(np.arange(256) + offset, 0, 255).astype(np.uint8)
    levels = np.clip(levels * gain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, levels), np.uint8)


def _recolour(pixels: NDArray[np.uint8], saturation: float, hue: int) -> NDArray[np.uint8]:
    """Multiply the saturation and turn the hue (in OpenCV's half degrees, 0..179)."""
    if (saturation, hue) == (1.0, 0):
        return pixels
    levels = np.arange(256)
    table = np.stack([(levels + hue) % 180, np.clip(levels * saturation, 0, 255), levels], -1)
    hsv = cv2.LUT(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), table.astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
