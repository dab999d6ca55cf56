"""What happens to a sample between the disk and the batch.

A transform is a small frozen dataclass called with a sample and a random generator. Geometric
ones, here, only multiply the sample's planned matrix; ``Warp`` samples every annotation once, at
the end. Photometric ones (``photometric.py``) come after it and touch the pixels alone. A transform
may return ``None`` to reject the draw, and another sample then takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.sample import Sample
from sapiens_lab.geometry import Matrix
from sapiens_lab.ranges import BelowOne, Fraction, ImageSize, NonNegative, Positive, Whole

Generator = np.random.Generator


class Transform(Protocol):
    """One step of the pipeline."""

    def __call__(self, sample: Sample, rng: Generator) -> Sample | None:
        """Return the changed sample, or ``None`` to reject this draw."""


# ---- the box: which part of the image the network will see -------------------------------------


@dataclass(frozen=True, slots=True)
class ExpandBox:
    """Enlarge the box about its center."""

    factor: Positive = 1.25

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with a larger box."""
        return replace(sample, bbox=_scaled(sample.bbox, self.factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomHalfBody:
    """Now and then look at the upper or the lower half of the body only.

    Constants of the official pose recipe (``RandomHalfBody``): the new box is centerd on the mean
    of the chosen keypoints and is ``padding`` times their extent.
    """

    skeleton: str | Skeleton  # knows which points are upper and lower; without them: no effect
    p: Fraction = 0.3
    p_upper: Fraction = 0.7  # where both halves have enough points
    padding: Positive = 1.5
    min_visible: Whole = 9
    min_upper: Whole = 2
    min_lower: Whole = 3

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps with the box of one half."""
        points = sample.keypoints
        if points is None or rng.random() >= self.p:
            return sample
        labeled = points.visible > 0
        if labeled.sum() < self.min_visible:
            return sample
        chosen = self._choose(labeled, rng)
        if chosen is None:
            return sample
        xy = geometry.apply(sample.meta.matrix, points.xy[chosen])
        extent = (xy.max(0) - xy.min(0)) * self.padding
        if extent.min() <= 0:
            return sample
        return replace(sample, bbox=geometry.bbox_around(xy.mean(0), extent))

    def _choose(self, labeled: NDArray[np.bool_], rng: Generator) -> list[int] | None:
        skeleton = Skeleton.load(self.skeleton)
        upper = [i for i in skeleton.upper_body if labeled[i]]
        lower = [i for i in skeleton.lower_body if labeled[i]]
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
    """Shift and scale the box, rotate the image about it.

    All three draws are standard normal, truncated at one standard deviation (official
    ``RandomBBoxTransform``), so ``shift``, ``scale`` and ``rotate_deg`` are the largest values that
    occur.
    """

    shift: NonNegative = 0.16  # of the box's width and height
    p_shift: Fraction = 0.3
    scale: BelowOne = 0.5  # the factor lies in 1 - scale .. 1 + scale
    p_scale: Fraction = 1.0
    rotate_deg: NonNegative = 80.0
    p_rotate: Fraction = 0.6

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with another box and a rotated plan."""
        box = sample.bbox
        if rng.random() < self.p_shift:
            offset = np.array([_truncated_normal(rng), _truncated_normal(rng)]) * self.shift
            box = (box + np.tile(offset * (box[2:] - box[:2]), 2)).astype(np.float32)
        if rng.random() < self.p_scale:
            box = _scaled(box, 1 + _truncated_normal(rng) * self.scale)
        angle = _truncated_normal(rng) * self.rotate_deg if rng.random() < self.p_rotate else 0.0
        return sample.move(geometry.rotate(angle, geometry.bbox_center(box)), box)


@dataclass(frozen=True, slots=True)
class RandomFlip:
    """Flip about the center of the box; does nothing where left/right pairs are not known."""

    p: Fraction = 0.5

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps flipped."""
        if rng.random() >= self.p or not sample.can_flip:
            return sample
        center_x = float(geometry.bbox_center(sample.bbox)[0])
        return sample.move(geometry.flip(center_x))


@dataclass(frozen=True, slots=True)
class CropToBox:
    """Make the box, grown to the input's aspect, the whole input."""

    image_size: ImageSize  # (height, width)

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample with the crop planned."""
        height, width = self.image_size
        box = geometry.grow_to_aspect(sample.bbox, width / height)
        return frame(sample, geometry.crop(box, self.image_size), self.image_size)


@dataclass(frozen=True, slots=True)
class Warp:
    """Sample the image and every annotation through the planned matrix, once."""

    image_size: ImageSize  # (height, width)
    antialias: bool = False  # average blocks where the crop shrinks by two or more
    replicate_edge: bool = False  # as the official dense recipes do, and the official pose does not
    keep_source: bool = False  # dense predictions are measured at the source's size

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample in the input frame; ``meta.matrix`` still leads from the source."""
        matrix, size = sample.meta.matrix, self.image_size
        return replace(
            sample,
            image=sample.image.warp(
                matrix, size, antialias=self.antialias, replicate_edge=self.replicate_edge
            ),
            fields={name: field.warp(matrix, size) for name, field in sample.fields.items()},
            gt=sample.fields if self.keep_source else None,
        )


@dataclass(frozen=True, slots=True)
class RequireKeypoints:
    """Reject a draw whose crop has lost too many labeled keypoints. Goes after ``Warp``.

    Of a set of fewer than twice ``min_inside`` points, half must be left.
    """

    min_inside: Whole = 4

    def __call__(self, sample: Sample, rng: Generator) -> Sample | None:
        """Return the sample, or ``None`` if too few labeled points lie in the image."""
        if sample.keypoints is None:
            return sample
        height, width = sample.image.size
        x, y = sample.keypoints.xy.T
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        count = int((inside & (sample.keypoints.visible > 0)).sum())
        least = min(self.min_inside, -(-len(sample.keypoints.xy) // 2))
        return sample if count >= least else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomRotate:
    """Rotate the image about the center of the box, by a uniform angle of up to ``max_deg``."""

    max_deg: NonNegative = 45.0
    p: Fraction = 0.5

    def __call__(self, sample: Sample, rng: Generator) -> Sample:
        """Return the sample, perhaps rotated."""
        if rng.random() >= self.p:
            return sample
        angle = rng.uniform(-self.max_deg, self.max_deg)
        return sample.move(geometry.rotate(angle, geometry.bbox_center(sample.bbox)))


def frame(sample: Sample, matrix: Matrix, size: tuple[int, int]) -> Sample:
    """Plan a step after which the input is the box."""
    return sample.move(matrix, np.array([0, 0, size[1] - 1, size[0] - 1], np.float32))


def _scaled(bbox: NDArray[np.float32], factor: Positive) -> NDArray[np.float32]:
    return geometry.bbox_around(geometry.bbox_center(bbox), (bbox[2:] - bbox[:2]) * factor)


def _truncated_normal(rng: Generator) -> float:
    """Draw a standard normal number that lies within one standard deviation."""
    while abs(value := rng.standard_normal()) > 1:
        pass
    return float(value)
