"""Supervisely: ``meta.json``, and folders ``ann`` and ``img`` of each dataset.

Format: https://developer.supervisely.com/getting-started/supervisely-annotation-format. A node
that is ``disabled`` is labeled and hidden.
"""

from __future__ import annotations

import base64
import binascii
import zlib
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
from sapiens_lab.data.importers.files import base_of, head, walk
from sapiens_lab.data.importers.gather import Gatherer, number, pairs
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_loose
from sapiens_lab.data.importers.pixels import counts_of, fill, paste, read_png_mask
from sapiens_lab.limits import MAX_MAP_PIXELS

Names = dict[str, str]  # of nodes, by id


def find(root: Path) -> str | None:
    """Say that a folder is a project of Supervisely, if it is."""
    path = base_of(root) / "meta.json"
    text = head(path)
    return (
        "a Supervisely project (meta.json)" if '"classes"' in text and '"shape"' in text else None
    )


def read(root: Path) -> Annotated:
    """Read every annotation of a project.

    Raises:
        ValueError: a file is not JSON, or ``meta.json`` is not what it should be; names it.
    """
    gatherer = Gatherer(base_of(root))
    path = gatherer.root / "meta.json"
    meta = read_json(path)
    classes = meta.get("classes") if isinstance(meta, dict) else None
    if not isinstance(classes, list):
        raise ValueError(f"{path}: `classes` is no list")
    nodes = {}
    for entry in classes:
        if isinstance(entry, dict):
            title = str(entry.get("title"))
            nodes[title] = _note_class(gatherer, title, entry)
    for path in walk(gatherer.root):
        if path.suffix.lower() == ".json" and path.parent.name == "ann":
            content = read_json(path)
            if isinstance(content, dict):
                _read_file(gatherer, path, content, nodes)
    return gatherer.finish()


def _note_class(gatherer: Gatherer, title: str, entry: Mapping[str, Any]) -> Names:
    """Take names and edges of a graph, or the class of a region; return the names of nodes."""
    config = entry.get("geometry_config")
    nodes = config.get("nodes") if isinstance(config, Mapping) else None
    if entry.get("shape") != "graph" or not isinstance(nodes, Mapping):
        if entry.get("shape") in ("polygon", "bitmap"):
            gatherer.classes.append(title)
        return {}
    names = {
        str(key): str(node.get("label", key)) if isinstance(node, Mapping) else str(key)
        for key, node in nodes.items()
    }
    edges = config.get("edges") if isinstance(config, Mapping) else None
    rows = edges if isinstance(edges, list) else []
    lines = [edge for edge in rows if isinstance(edge, Mapping)]
    ends = [(names.get(str(e.get("src"))), names.get(str(e.get("dst")))) for e in lines]
    gatherer.point_sets[title] = PointSet(
        names=list(dict.fromkeys(names.values())), edges=[(a, b) for a, b in ends if a and b]
    )
    return names


def _read_file(
    gatherer: Gatherer, path: Path, content: dict[str, Any], nodes: Mapping[str, Names]
) -> None:
    folder = path.parent.parent.relative_to(gatherer.root)
    size = content.get("size")
    stated = size if isinstance(size, Mapping) else {}
    image = gatherer.image(
        (folder / "img" / path.stem).as_posix(),
        size=(number(stated.get("height")), number(stated.get("width"))),
        subset=folder.name,
    )
    if image is None:
        return
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    objects = content.get("objects")
    for entry in objects if isinstance(objects, list) else ():
        if not isinstance(entry, dict):
            gatherer.dropped.add("objects that are no dictionaries", path.name)
            continue
        label, kind = str(entry.get("classTitle")), entry.get("geometryType")
        exterior = _outline(entry, "exterior")
        if kind == "point" and len(exterior) == 2:
            points.append(LoosePoint(name=label, point=(exterior[0], exterior[1], 2)))
        elif kind == "rectangle" and len(exterior) == 4:
            left, top, right, bottom = exterior
            boxes.append(LooseBox(label=label, box=(left, top, right, bottom)))
        elif kind == "graph":
            named = _graph(entry, nodes.get(label, {}))
            gatherer.add(image, Instance(label=label, keypoints=named))
        elif region := _region(gatherer, image, entry, label):
            gatherer.add(image, region)
    add_loose(gatherer, image, points, boxes)


def _outline(entry: Mapping[str, Any], key: str) -> list[float]:
    points = entry.get("points")
    return pairs(points.get(key)) if isinstance(points, Mapping) else []


def _graph(entry: Mapping[str, Any], names: Names) -> dict[str, Point]:
    found: dict[str, Point] = {}
    nodes = entry.get("nodes")
    for key, node in nodes.items() if isinstance(nodes, Mapping) else ():
        xy = pairs([node.get("loc")]) if isinstance(node, Mapping) else [number(None)] * 2
        is_hidden = isinstance(node, Mapping) and bool(node.get("disabled"))
        found[names.get(str(key), str(key))] = (xy[0], xy[1], 1 if is_hidden else 2)
    return found


def _region(
    gatherer: Gatherer, image: AnnotatedImage, entry: Mapping[str, Any], label: str
) -> Instance | None:
    kind = str(entry.get("geometryType"))
    if kind == "polygon":
        outer = _outline(entry, "exterior")
        points = entry.get("points")
        inner = points.get("interior") if isinstance(points, Mapping) else None
        holes = [pairs(hole) for hole in inner] if isinstance(inner, list) else []
        if not holes:
            return Instance(label=label, polygons=[outer])
        if not all(gatherer.is_outline(outline, image, label) for outline in (outer, *holes)):
            return None
        return Instance(label=label, counts=counts_of(fill(outer, holes, image.size)))
    if kind == "bitmap":
        bitmap = entry.get("bitmap")
        try:
            if not isinstance(bitmap, Mapping):
                raise ValueError("it has no bitmap")
            corner = pairs([bitmap.get("origin")])
            mask = read_png_mask(_inflate(str(bitmap.get("data"))))
            whole = paste(mask, (corner[0], corner[1]), image.size)
        except (ValueError, binascii.Error, zlib.error) as error:
            gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
            return None
        return Instance(label=label, counts=counts_of(whole))
    gatherer.dropped.add(f"objects of the geometry {kind[:30]!r}", image.name)
    return None


def _inflate(text: str) -> bytes:
    """Return what base64 of a zlib stream holds, as far as a mask can need.

    Raises:
        ValueError: it is more, or cut off.
    """
    stream = zlib.decompressobj()
    content = stream.decompress(base64.b64decode(text, validate=True), MAX_MAP_PIXELS)
    if not stream.eof:
        raise ValueError("its data is cut off or too large")
    return content
