"""The images that findings are about, found by the names that the findings give."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.commands.doctor.data import Examined
from sapiens_lab.commands.doctor.diagnosis import Line
from sapiens_lab.commands.doctor.tiles import HEIGHT, Tile, draw_sample
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.map_dataset import MapDataset
from sapiens_lab.data.images import read_image
from sapiens_lab.visualize.annotation import draw_annotation
from sapiens_lab.visualize.image import fit_height
from sapiens_lab.visualize.view import View

_PERSON = re.compile(r"^id (\S+) \((.+)\)$")  # how messages name an annotation
_WORD = re.compile(r"[^\s'\"()\[\],;:]+")
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_MOST_FILES = 200_000  # of a folder that are looked through for a name
_MOST_PEOPLE = 2_000_000
_MOST_BYTES = 200 << 20  # of an annotation file that is read once more
_NUM_SHOWN = 5


class Offenders:
    """Draws what findings are about.

    Args:
        examined: the data.
        view: draws maps.
        root: folder of the data, if they have one.
    """

    def __init__(self, examined: Examined, view: View | None, root: Path | None) -> None:
        self._examined, self._view, self._root = examined, view, root
        self._names = {name: _names(dataset) for name, dataset in examined.datasets.items()}
        self._files: dict[str, Path] | None = None
        self._people: dict[str, Mapping[str, Any]] = {}  # annotations by id, of each file
        self._known: dict[str, dict[str, int]] = {}  # indices of people by their names

    def draw(self, line: Line) -> list[Tile]:
        """Return the items of a line as images, those that can be shown."""
        tiles = (tile for item in line.items for tile in self._draw_item(line, item))
        return list(islice(tiles, _NUM_SHOWN))

    def _draw_item(self, line: Line, item: str) -> Iterator[Tile]:
        if match := _PERSON.match(item):
            tile = self._draw_known(line, item) or self._draw_annotation(line, match[1], match[2])
            if tile is not None:
                yield Tile(image=tile.image, caption=item)
            return
        seen = set()
        for split, index in self._find_samples(line, item):
            if (split, index) in seen:
                continue
            seen.add((split, index))
            dataset = self._examined.datasets[split]
            tile = draw_sample(self._examined.datamodule, dataset, index, self._view)
            if tile is not None:
                yield tile
        if not seen:
            yield from islice(self._draw_files(item), 1)

    def _find_samples(self, line: Line, item: str) -> Iterator[tuple[str, int]]:
        """Yield the samples whose files an item names, those of the line's own set first."""
        words = [item, *item.split(" is "), *_WORD.findall(item)]
        order = sorted(self._names, key=lambda name: name != line.name)
        for word in words:
            for split in order:
                index = self._names[split].get(word)
                if index is None:
                    index = self._names[split].get(Path(word).name)
                if index is not None:
                    yield split, index
                    break

    def _draw_known(self, line: Line, item: str) -> Tile | None:
        """Draw a person that is in a dataset."""
        for split, dataset in self._examined.datasets.items():
            if split not in self._known:
                self._known[split] = _people_names(dataset)
            index = self._known[split].get(item)
            if index is not None and line.name in (split, "train and val"):
                return draw_sample(self._examined.datamodule, dataset, index, self._view)
        return None

    def _draw_annotation(self, line: Line, number: str, file_name: str) -> Tile | None:
        """Draw what the file says of a person that is in no dataset, because of its fault."""
        annotation = self._annotations(line.source).get(number)
        path = self._find_file(file_name)
        pixels = None if path is None else _pixels(path)
        if annotation is None or pixels is None:
            return None
        skeleton = next((d.skeleton for d in self._examined.datasets.values()), None)
        bbox, points = _numbers(annotation.get("bbox")), _numbers(annotation.get("keypoints"))
        box = None if bbox is None or len(bbox) != 4 else np.append(bbox[:2], bbox[:2] + bbox[2:])
        shaped = None if points is None or len(points) % 3 else points.reshape(-1, 3)
        image = draw_annotation(pixels, box, shaped, skeleton, height=HEIGHT)
        return Tile(image=image, caption=file_name)

    def _annotations(self, source: str) -> Mapping[str, Any]:
        if source not in self._people:
            self._people[source] = _read_annotations(Path(source))
        return self._people[source]

    def _draw_files(self, item: str) -> Iterator[Tile]:
        """Draw image files that an item names and that no dataset has."""
        for word in [item, *_WORD.findall(item)]:
            path = self._find_file(word) if Path(word).suffix.lower() in _IMAGES else None
            pixels = None if path is None else _pixels(path)
            if path is not None and pixels is not None:
                yield Tile(image=fit_height(pixels, HEIGHT, HEIGHT), caption=path.name)

    def _find_file(self, name: str) -> Path | None:
        """Return a file of the data's folder by its name."""
        if self._files is None:
            self._files = {} if self._root is None else _files_below(self._root)
        return self._files.get(Path(name).name)


def _names(dataset: Dataset) -> dict[str, int]:
    """Return the samples of a dataset by the names of their images and maps."""
    paths = dataset.image_paths()
    names: dict[str, int] = {}
    if len(paths) == len(dataset):
        for index, path in enumerate(paths):
            names.setdefault(str(path), index)
            names.setdefault(path.name, index)
    if isinstance(dataset, MapDataset):
        for index in range(len(dataset)):
            names.setdefault(dataset.map_name(index), index)
    people = dataset.annotations()
    if people is not None and len(paths) != len(dataset):
        for index, place in enumerate(people.image_index.tolist()):
            names.setdefault(str(paths[place]), index)
            names.setdefault(paths[place].name, index)
    return names


def _people_names(dataset: Dataset) -> dict[str, int]:
    people = dataset.annotations()
    if people is None or len(people) > _MOST_PEOPLE:
        return {}
    return {people.name(index): index for index in range(len(people))}


def _read_annotations(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix.lower() != ".json" or path.stat().st_size > _MOST_BYTES:
            return {}
        rows = read_json(path).get("annotations")
    except (OSError, ValueError, AttributeError):
        return {}
    rows = rows if isinstance(rows, list) else []
    return {str(row.get("id")): row for row in rows if isinstance(row, Mapping)}


def _numbers(values: Any) -> NDArray[np.float64] | None:
    try:
        array = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        return None
    return array if array.ndim == 1 and len(array) else None


def _files_below(root: Path) -> dict[str, Path]:
    """Return image files by name, not of more folders than can be looked through."""
    found: dict[str, Path] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            if name.lower().endswith(_IMAGES):
                found.setdefault(name, Path(folder, name))
        if len(found) > _MOST_FILES:
            break
    return found


def _pixels(path: Path) -> NDArray[np.uint8] | None:
    try:
        return np.asarray(read_image(path), np.uint8)
    except (ValueError, OSError):
        return None
