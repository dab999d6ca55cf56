"""Datumaro's JSON: ``annotations/SUBSET.json`` and ``images/SUBSET``.

Format: https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/datumaro_format.html;
skeletons as CVAT writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Instance,
    Point,
    PointSet,
)
from sapiens_lab.data.importers.coco_masks import counts_of_rle
from sapiens_lab.data.importers.files import first, head, walk
from sapiens_lab.data.importers.gather import Gatherer, ellipse, number, numbered
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_loose

_SKIPPED = ("label", "caption")  # of the whole image


def find(root: Path) -> str | None:
    """Say that a folder holds Datumaro's JSON, if it does."""
    path = first(root, ".json", _is_datumaro)
    return None if path is None else f"Datumaro JSON ({path})"


def read(root: Path) -> Annotated:
    """Read every file of Datumaro below a folder.

    Raises:
        ValueError: a file is not JSON; names it.
    """
    gatherer = Gatherer(root)
    for path in walk(root):
        if path.suffix.lower() == ".json" and _is_datumaro(path):
            content = read_json(path)
            if isinstance(content, dict) and isinstance(content.get("items"), list):
                _File(gatherer, path, content).read()
    return gatherer.finish()


def _is_datumaro(path: Path) -> bool:
    text = head(path)
    return (
        text.lstrip().startswith("{")
        and '"categories"' in text
        and ('"items"' in text or '"dm_format_version"' in text)
    )


class _File:
    """One file: labels by number, and the names of each label's points."""

    def __init__(self, gatherer: Gatherer, path: Path, content: dict[str, Any]) -> None:
        self._gatherer, self._path, self._items = gatherer, path, content["items"]
        categories = content.get("categories")
        self._categories = categories if isinstance(categories, Mapping) else {}
        labels = _rows(self._categories.get("label"), "labels")
        self._labels = [str(label.get("name")) for label in labels]
        self._points: dict[str, list[str]] = {}
        for row in _rows(self._categories.get("points"), "items"):
            names = row.get("labels")
            names = [str(name) for name in names] if isinstance(names, list) else []
            label = self._label(row)
            self._points[label] = names
            edges = row.get("joints")
            gatherer.point_sets[label] = PointSet(names=names, edges=_edges(edges, names))

    def read(self) -> None:
        """Add all items."""
        for item in self._items:
            if not isinstance(item, dict):
                self._gatherer.dropped.add("items that are no dictionaries", self._path.name)
                continue
            found = [item.get(key) for key in ("image", "media")]
            media: dict[str, Any] = next((m for m in found if isinstance(m, dict)), {})
            size = _list(media, "size")
            image = self._gatherer.image(
                str(media.get("path") or item.get("id")),
                size=(number(size[0]), number(size[1])) if len(size) == 2 else None,
                subset=self._path.stem,
            )
            rows = item.get("annotations")
            if image is not None and isinstance(rows, list):
                self._add(image, [row for row in rows if isinstance(row, dict)])

    def _label(self, row: Mapping[str, Any]) -> str:
        place = row.get("label_id")
        is_known = isinstance(place, int) and 0 <= place < len(self._labels)
        return self._labels[place] if isinstance(place, int) and is_known else "person"

    def _add(self, image: AnnotatedImage, rows: list[dict[str, Any]]) -> None:
        points: list[LoosePoint] = []
        boxes: list[LooseBox] = []
        people: dict[Any, Instance] = {}
        for row in rows:
            kind, label, group = row.get("type"), self._label(row), row.get("group")
            group = group if isinstance(group, (int, str)) and group else None  # 0 is none
            values = [number(value) for value in _list(row, "points")]
            if kind == "skeleton":
                self._gatherer.add(image, self._skeleton(row, label))
            elif kind == "points" and len(values) == 2 and label not in self._points:
                point = (values[0], values[1], _visible(row, 0))
                points.append(LoosePoint(name=label, point=point, group=group))
            elif kind == "points":
                person = Instance(label=label, keypoints=self._keypoints(row, label, values))
                people[len(people) if group is None else (group,)] = person
            elif kind == "bbox":
                x, y, w, h = ([number(v) for v in _list(row, "bbox")] + [number(None)] * 4)[:4]
                boxes.append(LooseBox(label=label, box=(x, y, x + w, y + h), group=group))
            elif kind not in _SKIPPED and (region := self._region(row, image, label, values)):
                self._gatherer.add(image, region)
        for box in [box for box in boxes if (box.group,) in people]:
            people[(box.group,)].box = box.box
            boxes.remove(box)
        for person in people.values():
            self._gatherer.add(image, person)
        add_loose(self._gatherer, image, points, boxes)

    def _skeleton(self, row: Mapping[str, Any], label: str) -> Instance:
        keypoints: dict[str, Point] = {}
        for element in _list(row, "elements"):
            values = [number(v) for v in _list(element, "points")]
            if len(values) == 2 and (visible := _visible(element, 0)):
                keypoints[self._label(element)] = (values[0], values[1], visible)
        return Instance(label=label, keypoints=keypoints)

    def _keypoints(
        self, row: Mapping[str, Any], label: str, values: list[float]
    ) -> dict[str, Point]:
        pairs = zip(values[::2], values[1::2], strict=False)
        points = [(x, y, _visible(row, i)) for i, (x, y) in enumerate(pairs)]
        labeled: list[Point | None] = [point if point[2] else None for point in points]
        names = self._points.get(label, [])
        if len(names) != len(labeled):
            return numbered(labeled)
        return {n: p for n, p in zip(names, labeled, strict=True) if p is not None}

    def _region(
        self, row: Mapping[str, Any], image: AnnotatedImage, label: str, values: list[float]
    ) -> Instance | None:
        kind = str(row.get("type"))
        if kind == "polygon":
            return Instance(label=label, polygons=[values])
        if kind == "ellipse" and len(values) == 4:
            center = ((values[0] + values[2]) / 2, (values[1] + values[3]) / 2)
            radii = (abs(values[2] - values[0]) / 2, abs(values[3] - values[1]) / 2)
            return Instance(label=label, polygons=[ellipse(center, radii)])
        if kind == "mask":
            try:
                return Instance(label=label, counts=counts_of_rle(row.get("rle"), image.size))
            except ValueError as error:
                self._gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
                return None
        self._gatherer.dropped.add(f"annotations of the type {kind[:30]!r}", image.name)
        return None


def _rows(section: Any, key: str) -> list[dict[str, Any]]:
    rows = section.get(key) if isinstance(section, Mapping) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _list(row: Any, key: str) -> list[Any]:
    values = row.get(key) if isinstance(row, Mapping) else None
    return values if isinstance(values, list) else []


def _visible(row: Mapping[str, Any], place: int) -> int:
    """Return 0, 1 or 2 as in COCO; a point without a flag is visible."""
    flags = _list(row, "visibility")
    flag = flags[place] if place < len(flags) else 2
    return flag if flag in (0, 1, 2) else 2


def _edges(joints: Any, names: list[str]) -> list[tuple[str, str]]:
    """Return names of pairs, which CVAT counts from 1 and Datumaro itself from 0."""
    rows = joints if isinstance(joints, list) else []
    pairs = [row for row in rows if isinstance(row, list) and len(row) == 2]
    start = 0 if any(0 in pair for pair in pairs) else 1
    good = [p for p in pairs if all(isinstance(i, int) and 0 <= i - start < len(names) for i in p)]
    return [(names[a - start], names[b - start]) for a, b in good]
