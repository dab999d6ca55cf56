"""``Collected``: what is read of one split while it is examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.glances import Glances
from sapiens_lab.data.checks.maps import Look
from sapiens_lab.data.checks.statistics import Statistics
from sapiens_lab.data.dataset import Dataset

_MOST = 100_000  # people whose boxes go into the histograms


@dataclass(slots=True, kw_only=True, eq=False)
class Collected:
    """Of one split."""

    dataset: Dataset
    glances: Glances
    people: Annotations | None
    looks: Mapping[str, Sequence[Look]] = field(default_factory=dict)  # by field
    faults: Mapping[int, str] = field(default_factory=dict)  # why a sample cannot be read
    num_images: int = 0

    def statistics(self) -> Statistics:
        """Count what histograms are drawn of."""
        labels, depths = self.looks.get("labels", ()), self.looks.get("depth", ())
        boxes, fractions, tables = _people(self.people, self.dataset.skeleton)
        ranges = np.array([(look.low, look.high) for look in depths], np.float32).reshape(-1, 2)
        return Statistics(
            num_samples=len(self.dataset),
            num_images=self.num_images,
            image_sizes=self.glances.sizes.astype(np.float32),
            brightness=self.glances.brightness,
            saturation=self.glances.saturation,
            box_sizes=boxes,
            labeled_fraction=fractions[:, 0],
            visible_fraction=fractions[:, 1],
            labeled=tables[0],
            visible=tables[1],
            num_people=0 if self.people is None else len(self.people),
            class_pixels=_classes(labels, self.dataset.parts),
            depth_ranges=ranges,
            num_maps=max((len(looks) for looks in self.looks.values()), default=0),
        )


def class_counts(looks: Sequence[Look], parts: Parts) -> NDArray[np.int64]:
    """Return the pixels ``(C,)`` of each class in label maps, as thinned."""
    counts = np.zeros(256, np.int64)
    for look in looks:
        counts += np.bincount(look.values[look.valid].ravel(), minlength=256)[:256]
    return counts[: parts.num_classes]


def _classes(looks: Sequence[Look], parts: Parts | None) -> dict[str, int]:
    if parts is None or not looks:
        return {}
    return dict(zip(parts.classes, class_counts(looks, parts).tolist(), strict=True))


def _people(
    people: Annotations | None, skeleton: Skeleton | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[dict[str, int], dict[str, int]]]:
    """Return box sizes ``(m, 2)``, fractions ``(m, 2)`` and counts, labeled and visible."""
    if people is None or skeleton is None or not len(people):
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), ({}, {})
    rows = np.linspace(0, len(people) - 1, min(len(people), _MOST)).astype(np.int64)
    boxes = people.boxes[rows]
    flags = people.points[rows, :, 2]
    fractions = np.stack([(flags > 0).mean(1), (flags == 2).mean(1)], 1).astype(np.float32)
    sizes = np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], 1)
    counts = np.zeros((2, skeleton.num_keypoints), np.int64)
    for _, points in people.chunks():
        counts += [(points.visible > 0).sum(1), (points.visible == 2).sum(1)]
    labeled, visible = (dict(zip(skeleton.keypoints, row.tolist(), strict=True)) for row in counts)
    return sizes.astype(np.float32), fractions, (labeled, visible)
