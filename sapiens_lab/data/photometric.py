"""Transforms of the pixels alone, after ``Warp``: color, sharpness, occlusion, background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.data.fields import Image
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.transforms import Generator
from sapiens_lab.ranges import Count, Fraction, NonNegative, Whole

_IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomBackground:
    """Paste a random image behind the person: studio data have too few backgrounds.

    The official recipes do so for segmentation (p 0.8), rendered depth and normals (p 0.5), from a
    folder of images without people. The person is where the labels are neither background nor
    ignored, else where depth or normals are valid.
    """

    folder: str | None  # of images, searched in depth; None switches the step off
    p: Fraction = 0.5

    def __post_init__(self) -> None:
        """Fail at the start of a run, not in a worker."""
        if self.folder is not None:
            list_images(self.folder)

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps somewhere else."""
        if self.folder is None or rng.random() >= self.p:
            return sample
        person = _foreground(sample)
        if person is None:
            return sample
        paths = list_images(self.folder)
        scenery = read_image(paths[int(rng.integers(len(paths)))])
        size = sample.image.size
        window = _random_window(scenery.shape, size, rng)
        background = geometry.warp(scenery, window, size, replicate_edge=True)
        # One pixel of transition, as a lens would leave it.
        alpha = cv2.blur(person.astype(np.float32), (3, 3))[..., None]
        mixed = alpha * sample.image.pixels + (1 - alpha) * background
        pixels = np.round(mixed).astype(np.uint8)
        return replace(sample, image=Image(pixels=pixels))


@lru_cache(maxsize=8)
def list_images(folder: str) -> tuple[Path, ...]:
    """Return the images below a folder, sorted.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in _IMAGES)
    if not found:
        raise FileNotFoundError(
            f"no images below {folder} for random backgrounds; give a folder of images without "
            "people, or switch the step off with data.train_transforms.background=null"
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotometricDistortion:
    """Random brightness, contrast, saturation, hue and, for pose, channel order.

    The official parameters. Two faults of the official pose version are not repeated: its contrast
    was applied twice or never, and its hue was cut off instead of wrapped.
    """

    brightness: NonNegative = 32.0  # pixel values
    contrast: tuple[NonNegative, NonNegative] = (0.5, 1.5)
    saturation: tuple[NonNegative, NonNegative] = (0.5, 1.5)
    hue: Whole = 18  # half degrees, as OpenCV counts
    p: Fraction = 0.5  # of each of the four
    p_channel_shuffle: Fraction = 0.0

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with other colors."""
        brightness = self._draw(rng, (-self.brightness, self.brightness), neutral=0.0)
        contrast = self._draw(rng, self.contrast, neutral=1.0)
        saturation = self._draw(rng, self.saturation, neutral=1.0)
        hue = int(self._draw(rng, (-self.hue, self.hue), neutral=0.0))
        contrast_first = rng.random() < 0.5
        pixels = _tone(sample.image.pixels, brightness, contrast if contrast_first else 1.0)
        pixels = _recolor(pixels, saturation, hue)
        pixels = _tone(pixels, 0.0, 1.0 if contrast_first else contrast)
        if rng.random() < self.p_channel_shuffle:
            pixels = np.ascontiguousarray(pixels[..., rng.permutation(3)])
        return replace(sample, image=Image(pixels=pixels))

    def _draw(self, rng: Generator, bounds: tuple[float, float], *, neutral: float) -> float:
        return rng.uniform(*bounds) if rng.random() < self.p else neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomBlur:
    """Mean or median blur over an odd window of ``min_size..max_size`` pixels."""

    p_mean: Fraction = 0.1
    p_median: Fraction = 0.1
    min_size: Count = 3
    max_size: Count = 7

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps less sharp."""
        pixels = sample.image.pixels
        if rng.random() < self.p_mean:
            size = self._window(rng)
            pixels = cv2.blur(pixels, (size, size)).astype(np.uint8, copy=False)
        if rng.random() < self.p_median:
            pixels = cv2.medianBlur(pixels, self._window(rng)).astype(np.uint8, copy=False)
        return replace(sample, image=Image(pixels=pixels))

    def _window(self, rng: Generator) -> int:
        return int(rng.integers(self.min_size // 2, self.max_size // 2 + 1)) * 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoarseDropout:
    """Paint one rectangle black. The keypoints under it stay labeled: they are occluded.

    The official pose recipe does this to every training sample.
    """

    p: Fraction = 1.0
    min_fraction: Fraction = 0.2  # of the image's height and of its width
    max_fraction: Fraction = 0.4

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with a hole."""
        if rng.random() >= self.p:
            return sample
        size = np.array(sample.image.size)
        extent = (rng.uniform(self.min_fraction, self.max_fraction, 2) * size).astype(int)
        top, left = (rng.random(2) * (size - extent + 1)).astype(int)
        pixels = sample.image.pixels.copy()
        pixels[top : top + extent[0], left : left + extent[1]] = 0
        return replace(sample, image=Image(pixels=pixels))


def _foreground(sample: Sample) -> NDArray[np.bool_] | None:
    """Return where the person is ``(H, W)``, if any annotation says so."""
    if sample.labels is not None:
        ids = sample.labels.ids
        return np.asarray((ids > 0) & (ids != sample.labels.ignore_index))
    if sample.depth is not None:
        return sample.depth.valid
    return None if sample.normal is None else sample.normal.valid


def _random_window(
    shape: tuple[int, ...], size: tuple[int, int], rng: Generator
) -> geometry.Matrix:
    """Return the matrix that shows a random part of an image, of the input's aspect."""
    height, width = shape[:2]
    largest = min(height / size[0], width / size[1])
    factor = 1 / (largest * rng.uniform(0.5, 1.0))
    room = np.array([height, width]) - np.array(size) / factor
    top, left = rng.random(2) * room
    return np.array([[factor, 0.0, -left * factor], [0.0, factor, -top * factor]])


def _tone(pixels: NDArray[np.uint8], offset: float, gain: float) -> NDArray[np.uint8]:
    """Add ``offset`` and then multiply by ``gain``, clipping as 8-bit pixels do after each."""
    if (offset, gain) == (0.0, 1.0):
        return pixels
    levels = np.clip(np.arange(256) + offset, 0, 255).astype(np.uint8)
    levels = np.clip(levels * gain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, levels), np.uint8)


def _recolor(pixels: NDArray[np.uint8], saturation: float, hue: int) -> NDArray[np.uint8]:
    """Multiply the saturation and turn the hue (in OpenCV's half degrees, 0..179)."""
    if (saturation, hue) == (1.0, 0):
        return pixels
    levels = np.arange(256)
    table = np.stack([(levels + hue) % 180, np.clip(levels * saturation, 0, 255), levels], -1)
    hsv = cv2.LUT(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), table.astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
