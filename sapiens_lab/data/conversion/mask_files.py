"""Regions as masks of class ids: smaller ones lie on top, as for ``CocoParts``."""

from __future__ import annotations

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import IGNORED
from sapiens_lab.data.importers.annotated import AnnotatedImage, Instance
from sapiens_lab.data.importers.pixels import mask_of


def draw_labels(
    image: AnnotatedImage, ids: dict[str, int], *, background: int
) -> NDArray[np.uint8]:
    """Return the class id of every pixel ``(H, W)``.

    Args:
        image: with its regions; crowds become ignored where nothing lies on them.
        ids: class id of each label; other labels are not drawn.
        background: what no region covers.
    """
    labels = np.full(image.size, background, np.uint8)
    regions = [i for i in image.instances if i.has_region and i.label in ids]
    drawn = [(region, pixels_of(region, image.size)) for region in regions]
    for region, pixels in sorted(drawn, key=lambda p: (not p[0].is_crowd, -int(p[1].sum()))):
        labels[pixels] = IGNORED if region.is_crowd else ids[region.label]
    return labels


def pixels_of(region: Instance, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels ``(H, W)`` that a region covers, by COCO's rasterizer."""
    if region.counts is not None:
        return mask_of(region.counts, size)
    runs = coco_mask.frPyObjects(region.polygons, *size)
    return np.asarray(np.asarray(coco_mask.decode(runs)).reshape(*size, -1).any(-1))


def encode_labels(labels: NDArray[np.uint8]) -> bytes:
    """Return class ids as an 8-bit gray PNG."""
    return bytes(cv2.imencode(".png", labels)[1].tobytes())
