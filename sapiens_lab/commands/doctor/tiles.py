"""``Tile``: an image of the report with its caption; samples as the network gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.loading import Key, TransformedDataset
from sapiens_lab.data.sample import Batch, Sample, collate
from sapiens_lab.visualize.annotation import draw_annotation
from sapiens_lab.visualize.image import fit_height
from sapiens_lab.visualize.view import View, input_image

NUM_SAMPLES = 16  # of the contact sheet
HEIGHT = 224  # pixels of a tile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """An image ``(H, W, 3)`` and what is said below it."""

    image: NDArray[Any]
    caption: str


def contact_sheet(
    datamodule: Any, dataset: Dataset, view: View | None, *, count: int = NUM_SAMPLES
) -> list[Tile]:
    """Return samples from all over a set as training draws them, with their targets."""
    drawn = TransformedDataset(
        dataset, transforms=datamodule.transforms("train"), seed=datamodule.seed, redraw=True
    )
    tiles = []
    for place in spread(len(dataset), count):
        try:
            sample = drawn[Key(0, place)]
        except (ValueError, FileNotFoundError):
            continue  # the data's findings name it
        if isinstance(sample, Sample):
            tiles.append(_tile(sample, view))
    return tiles


def draw_sample(datamodule: Any, dataset: Dataset, index: int, view: View | None) -> Tile | None:
    """Return a sample with its target: people in their source image, maps as evaluation sees them.

    ``None`` if it cannot be read.
    """
    try:
        sample = dataset[index]
        if sample.keypoints is not None:
            points = sample.keypoints.arrays("keypoints")
            return _person(sample, points, dataset)
        drawn = TransformedDataset(dataset, transforms=datamodule.transforms("eval"))
        warped = drawn[Key(0, index)]
    except (ValueError, FileNotFoundError):
        return None
    return _tile(warped, view) if isinstance(warped, Sample) else None


def _person(sample: Sample, arrays: Any, dataset: Dataset) -> Tile:
    import numpy as np

    xy, visible = arrays["keypoints"], arrays["keypoints_visible"]
    image = draw_annotation(
        np.asarray(sample.image.pixels),
        sample.meta.bbox,
        np.concatenate([xy, visible[:, None]], 1),
        dataset.skeleton,
        height=HEIGHT,
    )
    return Tile(image=image, caption=Path(sample.meta.path).name)


def _tile(sample: Sample, view: View | None) -> Tile:
    batch = collate([sample])
    return Tile(
        image=fit_height(_drawn(batch, view), HEIGHT, HEIGHT), caption=Path(sample.meta.path).name
    )


def _drawn(batch: Batch, view: View | None) -> NDArray[Any]:
    """Return the target over the image, or the image alone where there is no target."""
    plain: Sequence[NDArray[Any]] = [input_image(batch, 0)]
    if view is None:
        return plain[0]
    target = view.target(batch, 0)
    return plain[0] if target is None else target
