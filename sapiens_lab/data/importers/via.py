"""VGG Image Annotator: projects and exports of version 1 and 2 (JSON, CSV), and of version 3.

Format: https://www.robots.ox.ac.uk/~vgg/software/via/ (``via-2.x.y``, ``via-3.x.y``). Attributes
have whatever names a project gives them: the label is the one called label, name, class, ..., or
the only one; ``person``, ``group``, ... joins points.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.importers.annotated import Annotated, AnnotatedImage, Instance
from sapiens_lab.data.importers.csv_files import read_csv, read_lines
from sapiens_lab.data.importers.files import base_of, head, look, walk
from sapiens_lab.data.importers.gather import Gatherer, ellipse, number
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_loose

_LABELS = ("label", "name", "class", "category", "keypoint", "part", "type")
_GROUPS = ("person", "person_id", "group", "group_id", "instance", "instance_id", "track", "id")
_HIDDEN = ("occluded", "hidden")
_SHAPES = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 7: "polygon"}  # of version 3
_CSV = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes"

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """A shape of any version."""

    file: str
    kind: str
    values: list[float]  # x, y of a point; x, y, w, h; center and radii; or corners
    attributes: Attributes


def find(root: Path) -> str | None:
    """Say that a folder holds files of VIA, if it does."""
    for suffix in (".json", ".csv"):
        for path in look(root, suffix):
            if version := _version(path):
                return f"VIA {version} ({path.relative_to(base_of(root))})"
    return None


def read(root: Path) -> Annotated:
    """Read every file of VIA below a folder.

    Raises:
        ValueError: a file is not JSON or CSV; names it.
    """
    gatherer = Gatherer(root)
    regions = []
    for path in walk(root):
        if path.suffix.lower() in (".json", ".csv") and (version := _version(path)):
            regions += list(_READERS[version](gatherer, path))
    label, group = _attribute_names(region.attributes for region in regions)
    by_file: dict[str, list[_Region]] = {}
    for region in regions:
        by_file.setdefault(region.file, []).append(region)
    for file, found in by_file.items():
        image = gatherer.image(file)
        if image is not None:
            _add(gatherer, image, found, label, group)
    return gatherer.finish()


def _version(path: Path) -> str | None:
    text = head(path)
    if path.suffix.lower() == ".csv":
        is_third = "VGG Image Annotator" in text[:500] and "spatial_coordinates" in text
        return "3 CSV" if is_third else "2 CSV" if text.startswith(_CSV) else None
    if '"_via_img_metadata"' in text or ('"shape_attributes"' in text and '"regions"' in text):
        return "2 JSON"
    is_third = '"fid"' in text and '"fname"' in text and '"project"' in text
    return "3 JSON" if is_third else None


def _read_second(gatherer: Gatherer, path: Path) -> Iterator[_Region]:
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("_via_img_metadata", content)
    for entry in content.values() if isinstance(content, dict) else ():
        if not isinstance(entry, Mapping) or "filename" not in entry:
            continue
        regions = entry.get("regions")
        rows = regions.values() if isinstance(regions, Mapping) else regions  # version 1
        for row in rows if isinstance(rows, Iterable) else ():
            if isinstance(row, Mapping):
                shape, attributes = row.get("shape_attributes"), row.get("region_attributes")
                yield from _second(gatherer, str(entry["filename"]), shape, attributes)


def _read_second_csv(gatherer: Gatherer, path: Path) -> Iterator[_Region]:
    header, *rows = read_csv(read_lines(path), path)
    for values in rows:
        row = dict(zip(header, values, strict=False))
        if row.get("region_count") == "0":
            continue
        shape = _parsed(row.get("region_shape_attributes"))
        attributes = _parsed(row.get("region_attributes"))
        yield from _second(gatherer, str(row.get("filename")), shape, attributes)


def _second(gatherer: Gatherer, file: str, shape: Any, attributes: Any) -> Iterator[_Region]:
    if not isinstance(shape, Mapping) or "name" not in shape:
        gatherer.dropped.add("regions without a shape", file)
        return
    kind = str(shape["name"])
    keys = {
        "point": ("cx", "cy"),
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }
    if kind in keys:
        values = [number(shape.get(key)) for key in keys[kind]]
    else:
        x, y = (shape.get(key) for key in ("all_points_x", "all_points_y"))
        both = zip(x, y, strict=False) if isinstance(x, list) and isinstance(y, list) else ()
        values = [number(value) for pair in both for value in pair]
    named = attributes if isinstance(attributes, Mapping) else {}
    yield _Region(file=file, kind=kind, values=values, attributes=named)


def _read_third(gatherer: Gatherer, path: Path) -> Iterator[_Region]:
    content = read_json(path)
    sections = [content.get(k) if isinstance(content, dict) else None
                for k in ("file", "view", "attribute", "metadata")]  # fmt: skip
    files, views, attributes, rows = (s if isinstance(s, Mapping) else {} for s in sections)
    for row in rows.values():
        if not isinstance(row, Mapping):
            continue
        view = views.get(str(row.get("vid")))
        ids = view.get("fid_list") if isinstance(view, Mapping) else None
        first = files.get(str(ids[0])) if isinstance(ids, list) and ids else None
        if not isinstance(first, Mapping):
            gatherer.dropped.add("regions of a file that is not listed", path.name)
            continue
        named = _named(row.get("av"), attributes)
        yield from _third(gatherer, str(first.get("fname")), row.get("xy"), named)


def _read_third_csv(gatherer: Gatherer, path: Path) -> Iterator[_Region]:
    text = read_lines(path)
    attributes: Any = {}
    for line in text:
        if line.startswith("# ATTRIBUTES = "):
            attributes = _parsed(line.removeprefix("# ATTRIBUTES = "))
    names = attributes if isinstance(attributes, Mapping) else {}
    lines = [line for line in text if line and not line.startswith("#")]
    for row in read_csv(lines, path):
        if len(row) < 6:
            gatherer.dropped.add("rows with too few columns", path.name)
            continue
        files, values = _parsed(row[1]), _parsed(row[5])
        named = {
            str(names.get(key, key)): value
            for key, value in (values.items() if isinstance(values, Mapping) else ())
        }
        file = files[0] if isinstance(files, list) and files else files
        yield from _third(gatherer, str(file), _parsed(row[4]), named)


def _named(values: Any, attributes: Mapping[str, Any]) -> Attributes:
    """Return a region's attributes by their names, options by their texts."""
    found = {}
    for key, value in values.items() if isinstance(values, Mapping) else ():
        about = attributes.get(str(key))
        about = about if isinstance(about, Mapping) else {}
        options = about.get("options")
        text = options.get(str(value), value) if isinstance(options, Mapping) else value
        found[str(about.get("aname", key))] = text
    return found


def _third(gatherer: Gatherer, file: str, xy: Any, attributes: Attributes) -> Iterator[_Region]:
    if not isinstance(xy, list) or not xy:
        return  # of the whole file, or of a time in it
    kind = _SHAPES.get(xy[0], f"of number {str(xy[0])[:10]}") if isinstance(xy[0], int) else "?"
    values = [number(value) for value in xy[1:]]
    if kind == "circle" and len(values) == 3:
        values.append(values[2])
    yield _Region(file=file, kind=kind, values=values, attributes=attributes)


_READERS = {
    "2 JSON": _read_second,
    "2 CSV": _read_second_csv,
    "3 JSON": _read_third,
    "3 CSV": _read_third_csv,
}


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def _attribute_names(regions: Iterable[Attributes]) -> tuple[str | None, str | None]:
    """Return which attribute is the label, and which joins points."""
    names = list(dict.fromkeys(str(name) for attributes in regions for name in attributes))
    lower = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    group = next((lower[name] for name in _GROUPS if name in lower), None)
    label = next((lower[name] for name in _LABELS if name in lower), None)
    if label is None:
        others = [name for name in names if name != group and name.lower() not in _HIDDEN]
        label = others[0] if others else None
    return label, group


def _value(attributes: Attributes, name: str | None) -> str | None:
    value = attributes.get(name) if name is not None else None
    if isinstance(value, Mapping):  # check boxes: those that are on
        value = next((key for key, is_on in value.items() if is_on), None)
    return None if value in (None, "", "undefined") else str(value)


def _add(
    gatherer: Gatherer,
    image: AnnotatedImage,
    regions: list[_Region],
    label_name: str | None,
    group_name: str | None,
) -> None:
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    for region in regions:
        label = _value(region.attributes, label_name)
        group = _value(region.attributes, group_name)
        values, kind = region.values, region.kind
        if label is None:
            gatherer.dropped.add("regions without a label", image.name)
        elif kind == "point" and len(values) == 2:
            hidden = any(_value(region.attributes, name) for name in _HIDDEN)
            point = (values[0], values[1], 1 if hidden else 2)
            points.append(LoosePoint(name=label, point=point, group=group))
        elif kind == "rect" and len(values) == 4:
            x, y, w, h = values
            boxes.append(LooseBox(label=label, box=(x, y, x + w, y + h), group=group))
        elif kind in ("circle", "ellipse") and len(values) == 4:
            outline = ellipse((values[0], values[1]), (values[2], values[3]))
            gatherer.add(image, Instance(label=label, polygons=[outline]))
        elif kind == "polygon":
            gatherer.add(image, Instance(label=label, polygons=[values]))
        else:
            gatherer.dropped.add(f"shapes of the kind {kind[:30]!r}", image.name)
    add_loose(gatherer, image, points, boxes)
