"""Images of keypoints: skeletons over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Count, Fraction
from sapiens_lab.visualize.image import RGBImage, add_caption, fit_height
from sapiens_lab.visualize.view import TITLES, input_image

_SUPERSAMPLE = 8  # cv2 draws at 1/8 pixel: its `shift` argument of 3


@dataclass(frozen=True, slots=True)
class PoseView:
    """Skeletons over the image. A point that is labeled but occluded is drawn hollow."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    skeleton: str | Skeleton
    score_threshold: Fraction = 0.3  # predictions at or below it are left out
    min_height: Count = 256  # smaller images are enlarged, or lines would hide them
    max_height: Count = 512  # larger ones are reduced, or a grid would fill the disk

    def plain(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` as the network sees it."""
        return fit_height(input_image(batch, index), self.min_height, self.max_height)

    def target(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` with its labeled keypoints."""
        xy = batch["keypoints"][index].cpu().numpy()
        return self._draw(batch, index, xy, batch["keypoints_visible"][index].cpu().numpy())

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return sample ``index`` with the predicted keypoints that are sure enough.

        Where none is, a caption says so.
        """
        xy = geometry.apply(batch.meta[index].matrix, prediction.keypoints)
        sure = np.asarray(prediction.scores) > self.score_threshold
        image = self._draw(batch, index, xy, np.where(sure, 2, 0))
        if sure.any():
            return image
        highest = float(np.max(prediction.scores))
        return add_caption(
            image,
            f"all {len(sure)} keypoints below {self.score_threshold:g};\nhighest {highest:.2g}",
        )

    def _draw(self, batch: Batch, index: int, xy: NDArray[Any], visible: NDArray[Any]) -> RGBImage:
        image = self.plain(batch, index)
        source: tuple[int, int] = (batch.image.shape[-2], batch.image.shape[-1])
        matrix = geometry.resize(source, (image.shape[0], image.shape[1]))
        skeleton = Skeleton.load(self.skeleton)
        return draw_pose(image, geometry.apply(matrix, xy), visible, skeleton=skeleton)


def draw_pose(
    image: RGBImage, xy: NDArray[Any], visible: NDArray[Any], *, skeleton: Skeleton
) -> RGBImage:
    """Draw one person's edges and points in the skeleton's colors.

    Args:
        image: ``(H, W, 3)`` RGB.
        xy: ``(K, 2)`` pixels.
        visible: ``(K,)`` 0 leaves a point out, 1 draws it hollow, 2 full.
        skeleton: names, edges and colors.

    Returns:
        A new image; strokes grow with its size.
    """
    canvas: RGBImage = image.copy()
    size = max(image.shape[:2])
    crowded = skeleton.num_keypoints > 40  # faces and hands would drown in thick dots
    radius = size / (260 if crowded else 110) + 0.6
    width = max(1, round(size / 200))
    points = np.round(np.asarray(xy, np.float64) * _SUPERSAMPLE).astype(int)
    for (a, b), color in zip(skeleton.edges, skeleton.edge_colors.tolist(), strict=True):
        if visible[a] and visible[b]:
            cv2.line(canvas, points[a], points[b], color, width, cv2.LINE_AA, shift=3)
    for point, seen, color in zip(points, visible, skeleton.colors.tolist(), strict=True):
        if seen:
            r = round(radius * _SUPERSAMPLE)
            filled = cv2.FILLED if seen == 2 else 1
            cv2.circle(canvas, point, r, color, filled, cv2.LINE_AA, shift=3)
    return canvas
