"""YOLO-pose and YOLO-seg as Ultralytics reads them: data.yaml, and a text file per image.

Format: https://docs.ultralytics.com/datasets/pose/ and /datasets/segment/. A row is
``class x y w h`` and then ``x y`` or ``x y visible`` per keypoint, or ``class x y x y ...`` for an
outline; all of it are fractions of the image's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sapiens_lab.anatomy.yaml_files import read_yaml
from sapiens_lab.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Instance,
    Point,
    PointSet,
)
from sapiens_lab.data.importers.files import base_of, head, look
from sapiens_lab.data.importers.gather import MAX_KEYPOINTS, Gatherer, number
from sapiens_lab.limits import MAX_ARRAY_BYTES, read_file

_SUBSETS = ("train", "val", "test")
_BOXES = "boxes without keypoints or outline"


def find(root: Path) -> str | None:
    """Say what kind of YOLO data a folder holds, if any."""
    path = _yaml(root)
    if path is None:
        return None
    kind = "YOLO-pose" if "kpt_shape" in head(path) else "YOLO-seg"
    return f"{kind} data ({path.relative_to(base_of(root)).as_posix()})"


def read(root: Path) -> Annotated:
    """Read a folder with a ``data.yaml``.

    Raises:
        ValueError: ``data.yaml`` is not what it should be; names it.
    """
    path = _yaml(root)
    if path is None:
        raise ValueError(f"{root} holds no data.yaml with `names` and `train` or `path`")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: its top level is no dictionary")
    gatherer = Gatherer(base_of(root))
    classes = _names(content.get("names"), path, "names")
    shape = _shape(content, path)
    points = _point_set(content, path, shape[0]) if shape else None
    if points is not None:
        gatherer.point_sets = {
            name: PointSet(names=list(points.names), flip_pairs=points.flip_pairs)
            for name in classes.values()
        }
    else:
        gatherer.classes = list(classes.values())
    subsets = _subsets(content)
    for name in gatherer.files.names:
        labels = _labels_of(gatherer.root, name)
        if labels is None:
            gatherer.dropped.add("images without a label file", name)
            continue
        image = gatherer.image(name, subset=_subset(name, subsets))
        if image is None:
            continue
        for row in _rows(labels, gatherer):
            _add(gatherer, image, row, classes, shape, points)
    return gatherer.finish()


def _yaml(root: Path) -> Path | None:
    found = [root] if root.is_file() and root.suffix in (".yaml", ".yml") else []
    if root.is_dir():
        found = [*look(root, ".yaml", depth=0), *look(root, ".yml", depth=0)]
    for path in found:
        lines = head(path).splitlines()
        keys = {line.partition(":")[0].strip("\"' ") for line in lines if ":" in line}
        if "names" in keys and keys & {"train", "val", "path", "kpt_shape"}:
            return path
    return None


def _names(given: Any, path: Path, key: str) -> dict[int, str]:
    """Return names by number, from a list or a dictionary."""
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, Mapping) or not all(
        isinstance(number, int) and isinstance(name, (str, int)) for number, name in given.items()
    ):
        raise ValueError(f"{path}: `{key}` must be a list of names, or {{0: name, ...}}")
    return {number: str(name) for number, name in given.items()}


def _shape(content: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    """Return the number of keypoints and of values for each; ``None`` for outlines."""
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3):
        raise ValueError(f"{path}: kpt_shape must be [number of keypoints, 2 or 3]")
    if not isinstance(shape[0], int) or not 0 < shape[0] <= MAX_KEYPOINTS:
        raise ValueError(f"{path}: kpt_shape must have 1 to {MAX_KEYPOINTS} keypoints")
    return shape[0], shape[1]


def _point_set(content: Mapping[str, Any], path: Path, count: int) -> PointSet:
    named = content.get("kpt_names") or content.get("keypoint_names")
    if isinstance(named, Mapping):  # one list for each class; all have the same points
        named = next(iter(named.values()), None)
    names = [str(i + 1) for i in range(count)]
    if named is not None:
        if not _are(named, str, int) or len(set(map(str, named))) != count:
            raise ValueError(f"{path}: kpt_names must list {count} different names")
        names = [str(name) for name in named]
    flips = content.get("flip_idx")
    if flips is None:
        return PointSet(names=names)
    if not _are(flips, int) or sorted(flips) != list(range(count)):
        raise ValueError(f"{path}: flip_idx must list the numbers 0 to {count - 1}, each once")
    pairs = [(names[i], names[j]) for i, j in enumerate(flips) if i < j]
    if any(flips[flips[i]] != i for i in range(count)):
        raise ValueError(f"{path}: flip_idx must exchange pairs: each point's partner's is itself")
    return PointSet(names=names, flip_pairs=pairs)


def _are(values: Any, *types: type) -> bool:
    """Return whether a list holds such values alone: aliases of YAML make others huge."""
    return isinstance(values, list) and set(map(type, values)) <= set(types)


def _subsets(content: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the folders, by parts, that data.yaml names for each subset."""
    found = []
    for subset in _SUBSETS:
        given = content.get(subset)
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, str):
                parts = [p for p in PurePosixPath(entry.replace("\\", "/")).parts if p != ".."]
                found.append((subset, parts))
    return found


def _subset(name: str, subsets: Sequence[tuple[str, list[str]]]) -> str | None:
    folders = name.split("/")[:-1]
    best: tuple[int, str | None] = (0, None)
    for subset, parts in subsets:
        shared = next((n for n in range(len(parts), 0, -1) if parts[-n:] == folders[:n]), 0)
        best = max(best, (shared, subset), key=lambda pair: pair[0])
    return best[1]


def _labels_of(root: Path, name: str) -> Path | None:
    """Return the text file of an image: in ``labels`` for ``images``, or beside it."""
    parts = name.split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    choices = [[*parts[:i], "labels", *parts[i + 1 :]] for i in reversed(places)]
    for choice in (*choices, parts):
        path = root.joinpath(*choice).with_suffix(".txt")
        if path.is_file():
            return path
    return None


def _rows(path: Path, gatherer: Gatherer) -> list[list[float]]:
    text = read_file(path, MAX_ARRAY_BYTES).decode("utf-8", "replace")
    rows = []
    for line in text.splitlines():
        if line.strip():
            row = [number(word) for word in line.split()]
            if row[0] >= 0 and row[0].is_integer():
                rows.append(row)
            else:
                gatherer.dropped.add("rows that do not begin with a class number", path.name)
    return rows


def _add(
    gatherer: Gatherer,
    image: AnnotatedImage,
    row: list[float],
    classes: Mapping[int, str],
    shape: tuple[int, int] | None,
    points: PointSet | None,
) -> None:
    height, width = image.size
    label = classes.get(int(row[0]))
    if label is None:
        gatherer.dropped.add("rows of a class that data.yaml does not name", f"{row[0]:g}")
        return
    if shape is not None and points is not None:
        if len(row) != 5 + shape[0] * shape[1]:
            reason = f"rows that do not have 5 + {shape[0]} x {shape[1]} numbers"
            gatherer.dropped.add(reason, image.name)
            return
        x, y, w, h = row[1] * width, row[2] * height, row[3] * width, row[4] * height
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        keypoints = _keypoints(row[5:], shape, points.names, image.size)
        gatherer.add(image, Instance(label=label, keypoints=keypoints, box=box))
    elif len(row) == 5:
        gatherer.dropped.add(_BOXES, image.name)
    else:
        scaled = [v * (height if i % 2 else width) for i, v in enumerate(row[1:])]
        gatherer.add(image, Instance(label=label, polygons=[scaled]))


def _keypoints(
    values: Sequence[float], shape: tuple[int, int], names: Sequence[str], size: tuple[int, int]
) -> dict[str, Point]:
    """Return the labeled points; with two values each, (0, 0) is not labeled."""
    keypoints = {}
    for i, name in enumerate(names):
        x, y, *flag = values[i * shape[1] : (i + 1) * shape[1]]
        visible = flag[0] if flag else float(x != 0 or y != 0) * 2
        if visible > 0:
            is_occluded = math.isclose(visible, 1) and bool(flag)
            keypoints[name] = (x * size[1], y * size[0], 1 if is_occluded else 2)
    return keypoints
