"""Images of annotations as they are written: a box and its points over the source image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.pose import draw_pose

_BOX = (255, 64, 160)
_MARGIN = 0.35  # of the size of what is shown, around it
_SMALLEST = 24  # pixels of a side that is shown


def draw_annotation(
    image: RGBImage,
    bbox: NDArray[Any] | None,
    points: NDArray[Any] | None,
    skeleton: Skeleton | None,
    *,
    height: int,
) -> RGBImage:
    """Return the part of the image around an annotation, with the annotation drawn in.

    Numbers that no image has (NaN, far outside) are left out, so that faulty ones can be shown.

    Args:
        image: ``(H, W, 3)``.
        bbox: ``(4,)`` xyxy.
        points: ``(K, 3)`` x, y, visible.
        skeleton: colors and edges; points of another number are drawn without.
        height: rows of the result.
    """
    points = np.zeros((0, 3)) if points is None else np.asarray(points, np.float64)
    usable = np.isfinite(points).all(1) & (points[:, 2] > 0)
    extent = points[usable, :2]
    if bbox is not None and np.isfinite(bbox).all():
        extent = np.concatenate([extent, np.asarray(bbox, np.float64).reshape(2, 2)])
    window = _window(extent, (image.shape[0], image.shape[1]))
    left, top, right, bottom = window
    scale = height / (bottom - top)
    size = (max(1, round((right - left) * scale)), height)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = np.asarray(
        cv2.resize(image[top:bottom, left:right], size, interpolation=method), np.uint8
    )
    if bbox is not None and np.isfinite(bbox).all():
        corners = (np.asarray(bbox, np.float64).reshape(2, 2) - (left, top)) * scale
        a, b = np.clip(corners, -2 * max(size), 3 * max(size)).round().astype(int).tolist()
        cv2.rectangle(shown, a, b, _BOX, max(1, height // 128), cv2.LINE_AA)
    moved = np.where(usable[:, None], (points[:, :2] - (left, top)) * scale, 0)
    moved = np.clip(moved, -2 * max(size), 3 * max(size))
    visible = np.where(usable, np.clip(points[:, 2], 0, 2), 0)
    if skeleton is not None and skeleton.num_keypoints == len(points):
        return draw_pose(shown, moved, visible, skeleton=skeleton)
    for x, y in moved[usable].round().astype(int).tolist():
        cv2.circle(shown, (x, y), 3, _BOX, cv2.FILLED, cv2.LINE_AA)
    return shown


def _window(extent: NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what is shown: the image's part around the points."""
    height, width = size
    if not len(extent):
        return 0, 0, width, height
    low, high = extent.min(0), extent.max(0)
    margin = np.maximum(_MARGIN * (high - low).max(), _SMALLEST)
    left, top = np.clip(low - margin, 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(high + margin, 0, (width, height)).astype(int).tolist()
    if right - left < _SMALLEST or bottom - top < _SMALLEST:  # all of it lies outside
        return 0, 0, width, height
    return left, top, right, bottom
