"""Read a dataset as far as the time allows: annotations whole, images and maps from everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.maps import Look, step_for
from sapiens_lab.data.checks.masks import mixed_fraction
from sapiens_lab.data.checks.sampling import evenly, spread_pairs
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.map_dataset import MapDataset
from sapiens_lab.data.examination.collected import Collected
from sapiens_lab.data.examination.read_images import GlanceList, read_images
from sapiens_lab.data.fields import DepthMap, EncodedImage, LabelMap, NormalMap
from sapiens_lab.data.sample import Sample

_MOST_MAPS = 1500  # that are kept at a time, thinned to half a megabyte each
_FOR_IMAGES = 0.6  # of the time, where maps are read too


def collect(
    dataset: Dataset,
    *,
    images: int,
    maps: int,
    until: float,
    step: Callable[[], None],
) -> Collected:
    """Read a dataset until ``time.monotonic()`` is ``until``.

    Args:
        dataset: to read.
        images: how many at most.
        maps: how many at most.
        until: when to stop; something of everything is read at least.
        step: called after every image and map.
    """
    paths = list(dict.fromkeys(dataset.image_paths()))
    if not paths:
        return _collect_samples(dataset, images=images, maps=maps, until=until, step=step)
    has_maps = isinstance(dataset, MapDataset)
    now = time.monotonic()
    stop = now + (until - now) * (_FOR_IMAGES if has_maps else 1)
    glances, faults = read_images(paths, evenly(len(paths))[:images], until=stop, step=step)
    looks: dict[str, Sequence[Look]] = {}
    if isinstance(dataset, MapDataset):
        found, more = _read_looks(dataset, maps, until, step)
        looks[dataset.field] = found
        faults = {**faults, **more}
    return Collected(
        dataset=dataset,
        glances=glances,
        people=dataset.annotations(),
        looks=looks,
        faults=faults,
        num_images=len(paths),
    )


def _read_looks(
    dataset: MapDataset, maps: int, until: float, step: Callable[[], None]
) -> tuple[list[Look], dict[int, str]]:
    """Read maps as pairs of neighbors, in an order that is spread wherever it ends."""
    indices = spread_pairs(len(dataset), min(maps, _MOST_MAPS))
    pairs = [indices[i : i + 2] for i in range(0, len(indices), 2)]
    looks, faults = {}, {}
    for place in evenly(len(pairs)):
        for index in pairs[place]:
            try:
                looks[index] = dataset.look(index)
            except (ValueError, FileNotFoundError) as error:
                faults[index] = str(error)
            step()
        if time.monotonic() > until:
            break
    return [looks[index] for index in sorted(looks)], faults


def _collect_samples(
    dataset: Dataset, *, images: int, maps: int, until: float, step: Callable[[], None]
) -> Collected:
    """Read a dataset that has no files of its own through its samples."""
    glances, samples, faults = GlanceList(), _People(), {}
    looks: dict[str, list[Look]] = {}
    for place, index in enumerate(evenly(len(dataset))[:images]):
        try:
            sample = dataset[index]
            pixels = sample.image.pixels
        except (ValueError, FileNotFoundError) as error:
            faults[index] = str(error)
            continue
        image = sample.image
        content = image.content if isinstance(image, EncodedImage) else pixels.tobytes()
        glances.add(sample.meta.path, pixels, image.size, content)
        samples.add(sample)
        if place < min(maps, _MOST_MAPS):
            for name, look in _looks_of(sample, index).items():
                looks.setdefault(name, []).append(look)
        step()
        if time.monotonic() > until:
            break
    return Collected(
        dataset=dataset,
        glances=glances.done(),
        people=dataset.annotations() or samples.done(),
        looks=looks,
        faults=faults,
        num_images=len(dataset),
    )


class _People:
    """Collects boxes and keypoints of samples."""

    def __init__(self) -> None:
        self._samples: list[tuple[NDArray[Any], NDArray[Any], str]] = []

    def add(self, sample: Sample) -> None:
        points = sample.keypoints
        if points is not None:
            rows = np.concatenate([points.xy, points.visible[:, None]], 1)
            self._samples.append((sample.meta.bbox, rows, sample.meta.path))

    def done(self) -> Annotations | None:
        """Return all people; ``None`` if samples have no keypoints."""
        if not self._samples:
            return None
        boxes, points, paths = zip(*self._samples, strict=True)
        return Annotations(
            boxes=np.array(boxes, np.float32),
            points=np.array(points, np.float32),
            image_index=np.arange(len(paths)),
            name=lambda i: paths[i],
        )


def _looks_of(sample: Sample, index: int) -> dict[str, Look]:
    """Return the maps of a sample as checks see them."""
    looks = {}
    step = step_for(sample.image.size)
    gray = sample.image.pixels[::step, ::step].mean(-1).astype(np.float32)
    values: NDArray[Any]
    for name, item in sample.fields.items():
        if isinstance(item, LabelMap):
            values, valid = item.ids, item.ids != item.ignore_index
        elif isinstance(item, DepthMap):
            values, valid = item.depth, item.valid
        elif isinstance(item, NormalMap):
            values, valid = item.normal, item.valid
        else:
            continue
        counted = values[valid]
        looks[name] = Look(
            name=sample.meta.path,
            index=index,
            values=values[::step, ::step].copy(),
            valid=valid[::step, ::step].copy(),
            low=float(counted.min()) if counted.size else 0.0,
            high=float(counted.max()) if counted.size else 0.0,
            mixed=mixed_fraction(values) if isinstance(item, LabelMap) else 0.0,
            gray=gray,
        )
    return looks
