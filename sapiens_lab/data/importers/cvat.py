"""CVAT's own XML, for images and for video.

Format: https://docs.cvat.ai/docs/dataset_management/formats/xml_format/ (1.1). A point that is
``outside`` is not labeled, one that is ``occluded`` is labeled and hidden.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from sapiens_lab.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Box,
    Instance,
    Point,
    PointSet,
    Polygon,
)
from sapiens_lab.data.importers.cvat_tracks import read_tracks
from sapiens_lab.data.importers.files import base_of, head, look, walk
from sapiens_lab.data.importers.gather import (
    Gatherer,
    ellipse,
    number,
    numbered,
)
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_loose
from sapiens_lab.data.importers.pixels import counts_of, paste, runs_to_mask
from sapiens_lab.data.importers.xml_files import read_xml

_ATTRIBUTE = r"""\b{}\s*=\s*["']([^"']*)["']"""


def find(root: Path) -> str | None:
    """Say that a folder holds CVAT's XML, if it does."""
    path = next((path for path in look(root, ".xml") if _is_cvat(path)), None)
    if path is None:
        return None
    kind = "video" if "<track " in head(path) else "image"
    return f"CVAT {kind} XML ({path.relative_to(base_of(root)).as_posix()})"


def read(root: Path) -> Annotated:
    """Read every CVAT file below a folder.

    Raises:
        ValueError: a file is not XML, or declares a document type; names it.
    """
    gatherer = Gatherer(root)
    for path in walk(root):
        if path.suffix.lower() == ".xml" and _is_cvat(path):
            _read_file(gatherer, path)
    return gatherer.finish()


def _is_cvat(path: Path) -> bool:
    text = head(path)
    return "<annotations" in text and ("<version>" in text or "<meta>" in text)


def _read_file(gatherer: Gatherer, path: Path) -> None:
    tree = read_xml(path)
    for label in tree.iter("label"):
        _note_label(gatherer, label, tree)
    for element in tree.iter("image"):
        size = (number(element.get("height")), number(element.get("width")))
        subset = element.get("subset") or path.stem
        image = gatherer.image(element.get("name", ""), size=size, near=path.parent, subset=subset)
        if image is not None:
            _add_shapes(gatherer, image, list(element))
    for image, elements in read_tracks(gatherer, tree, path):
        _add_shapes(gatherer, image, elements)


def _note_label(gatherer: Gatherer, label: Element, tree: Element) -> None:
    """Take the order of a skeleton's points, and its edges, from its drawing."""
    name = label.findtext("name", "")
    if label.findtext("type") == "skeleton":
        drawing = label.findtext("svg") or ""
        circles = re.findall(r"<circle\b[^>]*>", drawing)
        nodes = {_attribute(c, "data-node-id"): _attribute(c, "data-label-name") for c in circles}
        children = [
            other.findtext("name", "")
            for other in tree.iter("label")
            if other.findtext("parent") == name
        ]
        names = [n for n in nodes.values() if n] if all(nodes.values()) else []
        edges = [
            tuple(nodes.get(_attribute(line, key)) for key in ("data-node-from", "data-node-to"))
            for line in re.findall(r"<line\b[^>]*>", drawing)
        ]
        gatherer.point_sets[name] = PointSet(
            names=list(dict.fromkeys(names or children)),
            edges=[(a, b) for a, b in edges if a and b] if names else [],
        )
    elif label.findtext("type") in ("polygon", "mask") and name not in gatherer.classes:
        gatherer.classes.append(name)


def _attribute(tag: str, name: str) -> str:
    found = re.search(_ATTRIBUTE.format(name), tag)
    return found[1] if found else ""


def _add_shapes(gatherer: Gatherer, image: AnnotatedImage, elements: list[Element]) -> None:
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    people: list[tuple[str | None, Instance]] = []  # with all of their points, by group
    for element in elements:
        label, group = element.get("label", ""), element.get("group_id")
        if element.get("outside") == "1":
            continue
        if element.tag == "skeleton":
            people.append((group, _skeleton(element)))
        elif element.tag == "points":
            values = list(_points(element))
            if len(values) == 1:
                points.append(LoosePoint(name=label, point=values[0], group=group))
            else:  # the points of a person, in a fixed order
                people.append((group, Instance(label=label, keypoints=numbered(values))))
        elif element.tag == "box":
            boxes.append(LooseBox(label=label, box=_box(element), group=group))
        elif region := _region(gatherer, image, element):
            gatherer.add(image, region)
    for group, person in people:
        own = next((box for box in boxes if group is not None and box.group == group), None)
        if own is not None:
            person.box = own.box
            boxes.remove(own)
        gatherer.add(image, person)
    if people and not points:
        gatherer.dropped.add("boxes of no group beside people", image.name, len(boxes))
    else:
        add_loose(gatherer, image, points, boxes)


def _skeleton(element: Element) -> Instance:
    keypoints: dict[str, Point] = {}
    for child in element.iter("points"):
        if child.get("outside") != "1" and (values := list(_points(child))):
            keypoints[child.get("label", "")] = values[0]
    return Instance(label=element.get("label", ""), keypoints=keypoints)


def _region(gatherer: Gatherer, image: AnnotatedImage, element: Element) -> Instance | None:
    label = element.get("label", "")
    if element.tag == "polygon":
        return Instance(label=label, polygons=[_flat(element)])
    if element.tag == "ellipse":
        values = [number(element.get(key)) for key in ("cx", "cy", "rx", "ry")]
        angle = number(element.get("rotation", "0"))
        outline = ellipse((values[0], values[1]), (values[2], values[3]), angle)
        return Instance(label=label, polygons=[outline])
    if element.tag == "mask":
        try:
            left, top, width, height = (
                int(element.get(key, "")) for key in ("left", "top", "width", "height")
            )
            runs = [int(run) for run in element.get("rle", "").split(",")]
            mask = paste(runs_to_mask(runs, (height, width)), (left, top), image.size)
        except (ValueError, OverflowError) as error:
            gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
            return None
        return Instance(label=label, counts=counts_of(mask))
    if element.tag != "tag":
        gatherer.dropped.add(f"shapes of the kind {element.tag[:30]!r}", image.name)
    return None


def _flat(element: Element) -> Polygon:
    pairs = [pair.split(",") for pair in element.get("points", "").split(";") if pair.strip()]
    return [number(value) for pair in pairs for value in (pair if len(pair) == 2 else ("", ""))]


def _points(element: Element) -> Iterator[Point]:
    flat = _flat(element)
    visible = 1 if element.get("occluded") == "1" else 2
    for x, y in zip(flat[::2], flat[1::2], strict=True):
        yield (x, y, visible)


def _box(element: Element) -> Box:
    """Return the box; of a rotated one, the box around it."""
    left, top, right, bottom = (number(element.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
    turn = math.radians(number(element.get("rotation", "0")))
    if not turn:
        return left, top, right, bottom
    width, height = right - left, bottom - top
    half_width = (abs(width * math.cos(turn)) + abs(height * math.sin(turn))) / 2
    half_height = (abs(width * math.sin(turn)) + abs(height * math.cos(turn))) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height
