"""Gather what a reader finds: images that are there, annotations that make sense.

Every reader adds through a ``Gatherer``, so that one place decides what is taken. Numbers come from
files that anyone may have written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapiens_lab.data.arrays import read_size
from sapiens_lab.data.images import CorruptImageError, size_of
from sapiens_lab.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Box,
    Instance,
    Point,
    PointSet,
    Polygon,
)
from sapiens_lab.data.importers.dropped import Dropped, printable
from sapiens_lab.data.importers.files import ImageFiles
from sapiens_lab.limits import check_regular

MAX_KEYPOINTS = 2000  # of one person; the largest known sets have some hundreds
_START = 1 << 17  # bytes of an image's file that hold its header

NO_IMAGE = "images that are annotated but not in the folder"
FAR = "points or shapes that are no numbers, or more than an image's size outside of it"


def _size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the beginning of an image's file, where that is enough."""
    check_regular(path)
    with path.open("rb") as file:
        start = file.read(_START)
    try:
        return size_of(start, path)
    except CorruptImageError:
        return read_size(path)


def number(value: Any) -> float:
    """Return a number of a file, NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


class Gatherer:
    """The annotations of a source while they are read.

    Args:
        root: folder of the source, or its one file.
    """

    def __init__(self, root: Path) -> None:
        self.files = ImageFiles(root)
        self.dropped = Dropped()
        self.point_sets: dict[str, PointSet] = {}
        self.classes: list[str] = []
        self._images: dict[str, AnnotatedImage] = {}

    @property
    def root(self) -> Path:
        """The folder that names are relative to."""
        return self.files.root

    def image(
        self,
        stated: str,
        *,
        size: tuple[float, float] | None = None,
        near: Path | None = None,
        subset: str | None = None,
        video: str | None = None,
    ) -> AnnotatedImage | None:
        """Return the image that a tool calls so, once and for all its annotations.

        Args:
            stated: what the tool calls it.
            size: (height, width) as the tool states it.
            near: folder of the annotation file.
            subset: split, as the tool calls it.
            video: that the image is a frame of.

        Returns:
            ``None`` if it is missing, unreadable or of another size, which is counted.
        """
        name = self.files.find(stated, near=near)
        if name is None:
            self.dropped.add(NO_IMAGE, stated)
            return None
        if name in self._images:
            return self._images[name]
        path = self.root / name
        try:
            found = _size(path)
        except (ValueError, OSError) as error:
            self.dropped.add("images that cannot be read", str(error))
            return None
        if size is not None and not any(map(math.isnan, size)) and found != size:
            what = f"{name} ({found[0]} x {found[1]}, stated {size[0]:g} x {size[1]:g})"
            self.dropped.add("images of another height x width than they were annotated at", what)
            return None
        image = AnnotatedImage(path=path, name=name, size=found, subset=subset, video=video)
        self._images[name] = image
        return image

    def add(self, image: AnnotatedImage, instance: Instance) -> None:
        """Add an annotation, without what makes no sense in it, which is counted."""
        size = image.size
        instance.label = printable(instance.label)
        item = f"{instance.label} in {image.name}"
        had_something = bool(instance.keypoints or instance.has_region or instance.box)
        instance.keypoints = {
            printable(name): point
            for name, point in instance.keypoints.items()
            if self._is_near(point[:2], size, item)
        }
        instance.polygons = [p for p in instance.polygons if self._is_polygon(p, size, item)]
        if instance.box is not None:
            instance.box = self._box(instance.box, size, item)
        if instance.counts is not None and sum(instance.counts) != math.prod(size):
            self.dropped.add("masks of another size than their image", item)
            instance.counts = None
        if len(instance.keypoints) > MAX_KEYPOINTS:
            self.dropped.add(f"people with more than {MAX_KEYPOINTS} keypoints", item)
        elif instance.keypoints or instance.has_region or instance.box:
            image.instances.append(instance)
            self._note_names(instance)
        elif not had_something:
            self.dropped.add("annotations without any labeled point or shape", item)

    def is_outline(self, polygon: Polygon, image: AnnotatedImage, label: str) -> bool:
        """Return whether an outline can be drawn; one that cannot is counted."""
        return self._is_polygon(polygon, image.size, f"{label} in {image.name}")

    def finish(self) -> Annotated:
        """Return everything, images sorted by name."""
        images = [self._images[name] for name in sorted(self._images)]
        return Annotated(
            root=self.root,
            images=images,
            point_sets={printable(label): _clean(s) for label, s in self.point_sets.items()},
            classes=list(dict.fromkeys(map(printable, self.classes))),
            dropped=self.dropped,
        )

    def _note_names(self, instance: Instance) -> None:
        if instance.has_region and instance.label not in self.classes:
            self.classes.append(instance.label)
        if instance.keypoints:
            names = self.point_sets.setdefault(instance.label, PointSet(names=[])).names
            if missing := instance.keypoints.keys() - set(names):
                names.extend(name for name in instance.keypoints if name in missing)

    def _is_near(self, xy: Sequence[float], size: tuple[int, int], item: str) -> bool:
        height, width = size  # NaN compares false
        if all(-width <= x <= 2 * width for x in xy[::2]) and all(
            -height <= y <= 2 * height for y in xy[1::2]
        ):
            return True
        self.dropped.add(FAR, item)
        return False

    def _is_polygon(self, polygon: Polygon, size: tuple[int, int], item: str) -> bool:
        if len(polygon) < 6 or len(polygon) % 2:
            self.dropped.add("outlines of fewer than three points", item)
            return False
        return self._is_near(polygon, size, item)

    def _box(self, box: Box, size: tuple[int, int], item: str) -> Box | None:
        if not self._is_near(box, size, item):
            return None
        left, top, right, bottom = box
        ordered = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        if ordered[0] == ordered[2] or ordered[1] == ordered[3]:
            self.dropped.add("boxes without width or height", item)
            return None
        return ordered


def _clean(points: PointSet) -> PointSet:
    """Return a point set with names as ``Gatherer.add`` writes them."""
    pairs = points.flip_pairs
    return PointSet(
        names=list(dict.fromkeys(map(printable, points.names))),
        edges=[(printable(a), printable(b)) for a, b in points.edges],
        flip_pairs=None if pairs is None else [(printable(a), printable(b)) for a, b in pairs],
    )


def numbered(values: Sequence[Point | None]) -> dict[str, Point]:
    """Return points that have no names, by their places from 1; ``None`` is not labeled."""
    return {str(i + 1): point for i, point in enumerate(values) if point is not None}


def polygon_of_box(box: Box) -> Polygon:
    """Return the corners of a box."""
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def ellipse(
    center: tuple[float, float], radii: tuple[float, float], angle_deg: float = 0
) -> Polygon:
    """Return an ellipse as a polygon of 64 corners."""
    turn = math.radians(angle_deg)
    polygon: Polygon = []
    for i in range(64):
        a, b = radii[0] * math.cos(math.pi * i / 32), radii[1] * math.sin(math.pi * i / 32)
        polygon.append(center[0] + a * math.cos(turn) - b * math.sin(turn))
        polygon.append(center[1] + a * math.sin(turn) + b * math.cos(turn))
    return polygon


def pairs(values: Any) -> Polygon:
    """Return ``[[x, y], ...]`` as ``[x, y, ...]``; what is no pair becomes NaN."""
    flat: Polygon = []
    for pair in values if isinstance(values, list) else ():
        two = pair if isinstance(pair, (list, tuple)) and len(pair) >= 2 else (None, None)
        flat += [number(two[0]), number(two[1])]
    return flat
