"""Join points that are annotated one by one to people: by group, by box, or as the only person."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from sapiens_lab.data.importers.annotated import AnnotatedImage, Box, Instance, Point
from sapiens_lab.data.importers.gather import Gatherer, polygon_of_box

UNCLEAR = "points that no group or box assigns to a person"
TWICE = "points of a name that their person has already"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoosePoint:
    """A point with a name."""

    name: str
    point: Point
    group: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseBox:
    """A box that may hold points."""

    label: str
    box: Box
    group: Hashable = None


def add_loose(
    gatherer: Gatherer,
    image: AnnotatedImage,
    points: Sequence[LoosePoint],
    boxes: Sequence[LooseBox],
) -> None:
    """Add people of loose points and boxes; boxes of an image without points are regions."""
    if points:
        add_people(gatherer, image, points, boxes)
        return
    for box in boxes:
        gatherer.add(image, Instance(label=box.label, polygons=[polygon_of_box(box.box)]))


def add_people(
    gatherer: Gatherer,
    image: AnnotatedImage,
    points: Sequence[LoosePoint],
    boxes: Sequence[LooseBox],
    *,
    label: str = "person",
) -> None:
    """Add people made of loose points and boxes.

    Points and boxes of one group are a person. A point without a group belongs to the smallest box
    that holds it. In an image without boxes and groups all points are one person, if no name
    repeats.

    Args:
        gatherer: takes the people.
        image: that all of it is in.
        points: in the order in which a person should list them.
        boxes: may have no points.
        label: of people without a box.
    """
    people: dict[Hashable, Instance] = {}
    ungrouped: list[LooseBox] = []
    for box in boxes:
        key: Hashable = ("box", len(people)) if box.group is None else ("group", box.group)
        if key in people:  # two boxes of one group
            key = ("box", len(people))
        people[key] = Instance(label=box.label, box=box.box)
        ungrouped.append(box)
    keys = list(people)
    for loose in points:
        key = _person_of(loose, list(zip(keys, ungrouped, strict=True)))
        person = people.setdefault(key, Instance(label=label))
        if loose.name in person.keypoints:
            reason = UNCLEAR if key == "alone" else TWICE
            gatherer.dropped.add(reason, f"{loose.name} in {image.name}")
        else:
            person.keypoints[loose.name] = loose.point
    for person in people.values():
        gatherer.add(image, person)


def _person_of(loose: LoosePoint, boxes: Sequence[tuple[Hashable, LooseBox]]) -> Hashable:
    if loose.group is not None:
        return ("group", loose.group)
    x, y, _ = loose.point
    holding = [
        ((b.box[2] - b.box[0]) * (b.box[3] - b.box[1]), i)
        for i, (_, b) in enumerate(boxes)
        if b.box[0] <= x <= b.box[2] and b.box[1] <= y <= b.box[3]
    ]
    return boxes[min(holding)[1]][0] if holding else "alone"
