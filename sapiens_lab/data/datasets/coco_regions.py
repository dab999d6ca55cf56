"""From COCO's segmentations to pixels, by COCO's own rasterizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sapiens_lab.data.checks.regions import find_shape_fault


def decode_region(
    annotation: Mapping[str, Any], size: tuple[int, int], path: Path
) -> NDArray[np.bool_]:
    """Return the pixels ``(H, W)`` that an annotation covers.

    Args:
        annotation: with ``segmentation``: polygons, or RLE, compressed or not.
        size: (height, width) of the image.
        path: of the file, for messages.

    Raises:
        ValueError: the segmentation is malformed or of another size; names the annotation.
    """
    where = f"{path}: annotation {annotation.get('id')}"
    shape = annotation["segmentation"]
    if isinstance(shape, Mapping) and list(shape.get("size", ())) != list(size):
        raise ValueError(
            f"{where}: its RLE are for (height, width) {shape.get('size')}, the image is "
            f"{list(size)}"
        )
    if fault := find_shape_fault(shape, size):
        raise ValueError(f"{where}: {fault}")
    try:
        is_packed = isinstance(shape, Mapping) and not isinstance(shape["counts"], list)
        runs = shape if is_packed else coco_mask.frPyObjects(shape, *size)
        covered = np.asarray(coco_mask.decode(runs)) > 0
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ValueError(f"{where}: its segmentation is malformed: {error}") from error
    return np.asarray(covered.any(-1) if covered.ndim == 3 else covered)
