"""The one form that every importer reads to: images, and what is annotated in each.

Coordinates are pixels of the image as a viewer shows it, as the tool states them: nothing is
shifted by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sapiens_lab.data.importers.dropped import Dropped

Point: TypeAlias = tuple[float, float, int]  # x, y, visible: 1 occluded, 2 visible
Polygon: TypeAlias = list[float]  # x, y, x, y, ...
Box: TypeAlias = tuple[float, float, float, float]  # xyxy


@dataclass(slots=True, kw_only=True)
class Instance:
    """A person, or a region of a class."""

    label: str
    keypoints: dict[str, Point] = field(default_factory=dict)  # those that are labeled
    polygons: list[Polygon] = field(default_factory=list)
    counts: list[int] | None = None  # COCO's RLE: runs of 0 and 1 down the columns
    box: Box | None = None
    is_crowd: bool = False

    @property
    def has_region(self) -> bool:
        """Whether it has a shape beside its box."""
        return bool(self.polygons) or self.counts is not None


@dataclass(slots=True, kw_only=True)
class AnnotatedImage:
    """An image and its annotations."""

    path: Path
    name: str  # its path below the root, with slashes
    size: tuple[int, int]  # (height, width)
    instances: list[Instance] = field(default_factory=list)
    subset: str | None = None  # as the source calls it: train, valid, default, ...
    video: str | None = None  # that it is a frame of

    @property
    def folder(self) -> str:
        """The folder of the image, below the root."""
        return self.name.rpartition("/")[0]


@dataclass(slots=True, kw_only=True)
class PointSet:
    """What a source says of its keypoints."""

    names: list[str]
    edges: list[tuple[str, str]] = field(default_factory=list)
    flip_pairs: list[tuple[str, str]] | None = None  # None: the names tell


@dataclass(slots=True, kw_only=True)
class Annotated:
    """A whole source."""

    root: Path
    images: list[AnnotatedImage]
    point_sets: dict[str, PointSet]  # by label
    classes: list[str]  # labels of regions in the order of the source
    dropped: Dropped
