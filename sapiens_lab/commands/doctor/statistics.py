"""Distributions over the samples that were read: numbers for ``--json``, values for charts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.commands.doctor.diagnosis import Summary
from sapiens_lab.data.checks.statistics import Statistics


def quantities(counted: Statistics) -> dict[str, NDArray[np.float32]]:
    """Return the values of each quantity of a split, those that there are."""
    heights = counted.image_sizes[:, 0]
    values = {
        "image height [pixels]": heights,
        "image width [pixels]": counted.image_sizes[:, 1],
        "brightness [0..255]": counted.brightness,
        "box height [pixels]": counted.box_sizes[:, 0],
        "box width [pixels]": counted.box_sizes[:, 1],
        "keypoints labeled [fraction]": counted.labeled_fraction,
        "keypoints visible [fraction]": counted.visible_fraction,
        "nearest depth of a map": counted.depth_ranges[:, 0],
        "farthest depth of a map": counted.depth_ranges[:, 1],
    }
    finite = {name: v[np.isfinite(v)] for name, v in values.items()}
    return {name: v for name, v in finite.items() if len(v)}


def distributions(
    statistics: Mapping[str, Statistics],
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the values of each quantity by split."""
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for split, counted in statistics.items():
        for name, values in quantities(counted).items():
            found.setdefault(name, {})[split] = values
    return found


def tables(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, dict[str, float]]]:
    """Return fractions by name and split: people per keypoint, pixels per class."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for split, counted in statistics.items():
        people, pixels = counted.num_people, sum(counted.class_pixels.values())
        if people and counted.labeled:
            title = "people with each keypoint"
            found.setdefault(title, {})[split] = {
                name: number / people for name, number in counted.labeled.items()
            }
        if pixels:
            title = "pixels of each class"
            found.setdefault(title, {})[split] = {
                name: number / pixels for name, number in counted.class_pixels.items()
            }
    return found


def summaries(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, Summary]]:
    """Return the distributions as few numbers."""
    return {
        name: {split: _summary(values) for split, values in splits.items()}
        for name, splits in distributions(statistics).items()
    }


def _summary(values: NDArray[np.float32]) -> Summary:
    low, median, high = (round(float(v), 4) for v in np.percentile(values, (0, 50, 100)))
    return Summary(count=len(values), low=low, median=median, high=high)
