"""LabelMe: a JSON file beside each image; points are grouped by ``group_id``.

Format: the files that https://github.com/wkentaro/labelme writes. ``imageData``, the image within
the file, is ignored: the image itself must be there.
"""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.importers.annotated import Annotated, AnnotatedImage, Box, Instance
from sapiens_lab.data.importers.files import first, head, walk
from sapiens_lab.data.importers.gather import Gatherer, ellipse, number, pairs, polygon_of_box
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_people
from sapiens_lab.data.importers.pixels import counts_of, paste, read_png_mask

_HIDDEN = ("occluded", "hidden", "invisible")  # flags of a point


def find(root: Path) -> str | None:
    """Say that a folder holds LabelMe's files, if it does."""
    path = first(root, ".json", _is_labelme)
    return None if path is None else f"LabelMe files ({path}, ...)"


def read(root: Path) -> Annotated:
    """Read every LabelMe file below a folder.

    Raises:
        ValueError: a file is not JSON; names it.
    """
    gatherer = Gatherer(root)
    for path in walk(root):
        if path.suffix.lower() == ".json":
            content = read_json(path)
            if isinstance(content, dict) and isinstance(content.get("shapes"), list):
                _read_file(gatherer, path, content)
            else:
                gatherer.dropped.add("JSON files that are not LabelMe's", path.name)
    return gatherer.finish()


def _is_labelme(path: Path) -> bool:
    text = head(path)
    return '"shapes"' in text and ('"imagePath"' in text or '"imageData"' in text)


def _read_file(gatherer: Gatherer, path: Path, content: dict[str, Any]) -> None:
    stated = content.get("imagePath")
    size = (number(content.get("imageHeight")), number(content.get("imageWidth")))
    near = path.parent
    name = stated if isinstance(stated, str) and stated else path.stem
    image = gatherer.image(name, size=size, near=near)
    if image is None:
        return
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    regions: dict[Any, Instance] = {}
    for place, shape in enumerate(content["shapes"]):
        if not isinstance(shape, dict):
            gatherer.dropped.add("shapes that are no dictionaries", path.name)
            continue
        label, group = str(shape.get("label")), shape.get("group_id")
        group = group if isinstance(group, (int, str)) else None
        xy = pairs(shape.get("points"))
        kind = str(shape.get("shape_type") or "polygon")
        if kind == "point" and len(xy) == 2:
            point = (xy[0], xy[1], 1 if _is_hidden(shape) else 2)
            points.append(LoosePoint(name=label, point=point, group=group))
        elif kind == "rectangle" and len(xy) in (4, 8):
            boxes.append(LooseBox(label=label, box=_bounds(xy), group=group))
        else:
            key = place if group is None else (group, label)  # parts of one region
            region = regions.setdefault(key, Instance(label=label))
            _add_shape(gatherer, image, region, kind, xy, shape)
    has_points = bool(points)
    if not has_points:  # rectangles are regions themselves
        for place, box in enumerate(boxes):
            regions[("box", place)] = Instance(label=box.label, polygons=[polygon_of_box(box.box)])
    add_people(gatherer, image, points, boxes if has_points else ())
    for region in regions.values():
        if region.has_region:
            gatherer.add(image, region)


def _add_shape(
    gatherer: Gatherer,
    image: AnnotatedImage,
    region: Instance,
    kind: str,
    xy: list[float],
    shape: dict[str, Any],
) -> None:
    if kind == "polygon":
        region.polygons.append(xy)
    elif kind == "circle" and len(xy) == 4:
        radius = math.dist(xy[:2], xy[2:])
        region.polygons.append(ellipse((xy[0], xy[1]), (radius, radius)))
    elif kind == "mask" and len(xy) == 4:
        try:
            mask = read_png_mask(base64.b64decode(str(shape.get("mask")), validate=True))
            region.counts = counts_of(paste(mask, (xy[0], xy[1]), image.size))
        except (ValueError, binascii.Error) as error:
            gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
    else:
        gatherer.dropped.add(f"shapes of the kind {kind[:30]!r}", image.name)


def _is_hidden(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and any(flags.get(name) for name in _HIDDEN)


def _bounds(xy: list[float]) -> Box:
    return min(xy[::2]), min(xy[1::2]), max(xy[::2]), max(xy[1::2])
