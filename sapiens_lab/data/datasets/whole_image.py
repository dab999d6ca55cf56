"""``make_sample``: an image as a sample, whole, in the source frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.fields import EncodedImage, Image
from sapiens_lab.data.sample import Meta, Sample


def make_sample(
    image: Image | EncodedImage,
    path: str | Path,
    index: int,
    mask: NDArray[np.bool_] | None = None,
) -> Sample:
    """Return an image as a sample, boxed by its mask ``(H, W)`` or as a whole."""
    height, width = image.size
    bbox = np.array([0, 0, width - 1, height - 1], np.float32)
    if mask is not None and mask.any():
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
        bbox = np.concatenate([low, np.maximum(high, low + 1)]).astype(np.float32)  # never flat
    meta = Meta(id=index, image_id=index, path=str(path), size=(height, width), bbox=bbox)
    return Sample(image=image, bbox=bbox, meta=meta)
