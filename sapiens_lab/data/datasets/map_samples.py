"""Samples of an image and its map: made, and checked before a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.arrays import read_size
from sapiens_lab.data.faults import OnError, report
from sapiens_lab.data.fields import Image
from sapiens_lab.data.sample import Meta, Sample

log = logging.getLogger(__name__)

NUM_CHECKED = 32  # files that a data set looks into before the first step


def make_sample(
    pixels: NDArray[np.uint8], path: Path, index: int, mask: NDArray[np.bool_] | None = None
) -> Sample:
    """Return an image ``(H, W, 3)`` as a sample, boxed by its mask ``(H, W)`` or as a whole."""
    height, width = pixels.shape[:2]
    bbox = np.array([0, 0, width - 1, height - 1], np.float32)
    if mask is not None and mask.any():
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
        bbox = np.concatenate([low, np.maximum(high, low + 1)]).astype(np.float32)  # never flat
    meta = Meta(id=index, image_id=index, path=str(path), size=(height, width), bbox=bbox)
    return Sample(image=Image(pixels=pixels), bbox=bbox, meta=meta)


def check_size(
    image: Path, other: Path, size: tuple[int, ...], expected: tuple[int, ...] | None = None
) -> None:
    """Compare the (height, width) of a map with its image's, by default as its header says.

    Raises:
        ValueError: they differ; names both files.
    """
    expected = expected or read_size(image)
    if size[:2] != expected:
        raise ValueError(
            f"{other} is {size[0]} x {size[1]} (height x width) but its image {image} is "
            f"{expected[0]} x {expected[1]}; resize the map without mixing its values (nearest)"
        )


def check_spread(check: Callable[[int], object], length: int, *, on_error: OnError) -> None:
    """Look into files all over the data set before a run starts.

    Args:
        check: raises ``ValueError`` or ``FileNotFoundError`` for the faults of one index.
        length: of the data set.
        on_error: ``skip`` logs the faults, unless every file has one.

    Raises:
        ValueError: some files are faulty; the first five are named.
    """
    faults = []
    looked = spread(length, NUM_CHECKED)
    for index in looked:
        try:
            check(index)
        except (ValueError, FileNotFoundError) as error:
            faults.append(str(error))
    if len(faults) == len(looked):
        raise ValueError("\n  ".join(["every file that was looked into is faulty:", *faults[:5]]))
    if faults:
        title = f"{len(faults)} of {len(looked)} files that were looked into are faulty"
        report(title, faults, on_error=on_error)


def spread(length: int, limit: int | None) -> list[int]:
    """Return at most ``limit`` indices, evenly over ``0 .. length - 1``."""
    if limit is None or limit >= length:
        return list(range(length))
    return [i * length // limit for i in range(limit)]
