"""Images of samples and predictions: arrays in, RGB arrays out. Nothing here trains or writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.sample import Batch

ImageArray = NDArray[np.uint8]  # (H, W, 3) RGB

TITLES = ("input", "truth", "prediction")

_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_SUPERSAMPLE = 8  # cv2 draws at 1/8 pixel: its `shift` argument of 3


class View(Protocol):
    """Draws what one kind of annotation looks like, in the input frame."""

    titles: ClassVar[tuple[str, ...]]  # over the images below

    def plain(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` as the network sees it."""

    def target(self, batch: Batch, index: int) -> ImageArray | None:
        """Return sample ``index`` with its annotation, or nothing where it is its own."""

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return sample ``index`` with a prediction of the task drawn in."""


@dataclass(frozen=True, slots=True)
class PoseView:
    """Skeletons over the image. A point that is labeled but hidden is drawn hollow."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    skeleton: str | Skeleton
    score_threshold: float = 0.3  # predictions below it are left out
    min_height: int = 256  # smaller images are enlarged, or lines would hide them
    max_height: int = 512  # larger ones are reduced, or a grid would fill the disk

    def plain(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` as the network sees it."""
        return self._resized(batch, index)[0]

    def target(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` with its labeled keypoints."""
        assert batch.keypoints is not None
        assert batch.visible is not None
        xy = batch.keypoints[index].cpu().numpy()
        return self._draw(batch, index, xy, batch.visible[index].cpu().numpy())

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return sample ``index`` with the predicted keypoints that are sure enough."""
        xy = geometry.apply(batch.meta[index].matrix, prediction.keypoints)
        seen: NDArray[np.int64] = np.where(prediction.scores > self.score_threshold, 2, 0)
        return self._draw(batch, index, xy, seen)

    def _draw(
        self, batch: Batch, index: int, xy: NDArray[Any], visible: NDArray[Any]
    ) -> ImageArray:
        image, matrix = self._resized(batch, index)
        skeleton = Skeleton.load(self.skeleton)
        return draw_pose(image, geometry.apply(matrix, xy), visible, skeleton=skeleton)

    def _resized(self, batch: Batch, index: int) -> tuple[ImageArray, geometry.Matrix]:
        image = input_image(batch, index)
        height, width = image.shape[:2]
        shown = min(max(height, self.min_height), self.max_height)
        size = (shown, round(width * shown / height))
        how = cv2.INTER_CUBIC if shown > height else cv2.INTER_AREA
        resized: ImageArray = cv2.resize(image, size[::-1], interpolation=how).astype(np.uint8)
        return resized, geometry.resize((height, width), size)


def input_image(batch: Batch, index: int) -> ImageArray:
    """Return the input image of sample ``index``."""
    return np.ascontiguousarray(batch.image[index].cpu().numpy().transpose(1, 2, 0))


def draw_pose(
    image: ImageArray, xy: NDArray[Any], visible: NDArray[Any], *, skeleton: Skeleton
) -> ImageArray:
    """Draw one person's edges and points in the skeleton's colors.

    Args:
        image: ``(H, W, 3)`` RGB.
        xy: ``(K, 2)`` pixels.
        visible: ``(K,)`` 0 leaves a point out, 1 draws it hollow, 2 full.
        skeleton: names, edges and colors.

    Returns:
        A new image; strokes grow with its size.
    """
    canvas: ImageArray = image.copy()
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


def grid(
    rows: Sequence[Sequence[ImageArray]], *, titles: Sequence[str] = (), gap: int = 4
) -> ImageArray:
    """Lay images of one height out in rows, with a title over each column.

    Args:
        rows: images ``(H, W, 3)`` RGB; a row may be shorter than the others.
        titles: one a column; none leaves the header out.
        gap: white pixels between the images.

    Raises:
        ValueError: there is nothing to show.
    """
    if not rows or not rows[0]:
        raise ValueError("a grid needs at least one image")
    height = rows[0][0].shape[0]
    columns = range(max(len(row) for row in rows))
    widths = [max(row[j].shape[1] for row in rows if j < len(row)) for j in columns]
    lefts = [gap + sum(widths[:j]) + j * gap for j in columns]
    head = 20 if titles else 0
    sheet = np.full(
        (head + len(rows) * (height + gap) + gap, lefts[-1] + widths[-1] + gap, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        for left, image in zip(lefts, row, strict=False):
            top = head + gap + i * (height + gap)
            sheet[top : top + height, left : left + image.shape[1]] = image
    for left, title in zip(lefts, titles, strict=False):
        origin = (left + 2, head - 5)
        cv2.putText(sheet, title, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return sheet
