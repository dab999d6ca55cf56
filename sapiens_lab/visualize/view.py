"""What draws samples and predictions: one view for each kind of annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from sapiens_lab.data.sample import Batch
from sapiens_lab.visualize.image import RGBImage

TITLES = ("input", "ground truth", "prediction")
_GAP = 4  # pixels between images in one column of a grid


class View(Protocol):
    """Draws what one kind of annotation looks like, in the input frame.

    All images of a view have the same height.
    """

    titles: ClassVar[tuple[str, ...]]  # over the images below

    def plain(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` as the network sees it."""

    def target(self, batch: Batch, index: int) -> RGBImage | None:
        """Return sample ``index`` with its annotation, or nothing where it is its own."""

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return sample ``index`` with a prediction of the task drawn in."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The views of several tasks in one row; a prediction is a dictionary by the same names."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    views: Mapping[str, View]

    def plain(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` as the network sees it, once."""
        return next(iter(self.views.values())).plain(batch, index)

    def target(self, batch: Batch, index: int) -> RGBImage:
        """Return every annotation of sample ``index``."""
        targets = [view.target(batch, index) for view in self.views.values()]
        return beside([target for target in targets if target is not None])

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return every prediction of sample ``index``."""
        return beside(
            [view.prediction(batch, index, prediction[name]) for name, view in self.views.items()]
        )


def beside(images: Sequence[RGBImage]) -> RGBImage:
    """Join images of one height, with white between them."""
    gap = np.full((images[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([part for image in images for part in (gap, image)][1:])


def input_image(batch: Batch, index: int) -> RGBImage:
    """Return the input image of sample ``index``."""
    return np.ascontiguousarray(batch.image[index].cpu().numpy().transpose(1, 2, 0))
