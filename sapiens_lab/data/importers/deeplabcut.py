"""DeepLabCut: ``CollectedData_*.csv`` of labeled frames, one or several animals.

Format: what DeepLabCut writes into ``labeled-data``; its header has the rows scorer, individuals
(of several animals), bodyparts and coords. The H5 beside it holds the same and is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sapiens_lab.anatomy.yaml_files import read_yaml
from sapiens_lab.data.importers.annotated import Annotated, Instance, Point, PointSet
from sapiens_lab.data.importers.csv_files import read_csv, read_lines
from sapiens_lab.data.importers.files import base_of, head, look, walk
from sapiens_lab.data.importers.gather import Gatherer, number

_LABEL = "individual"
_UNIQUE = "single"  # how several animals' files call points that are no animal's
_HEADERS = ("scorer", "individuals", "bodyparts", "coords")


def find(root: Path) -> str | None:
    """Say that a folder holds DeepLabCut's labels, if it does."""
    path = next((path for path in look(root, ".csv") if _is_labels(path)), None)
    return None if path is None else f"DeepLabCut labels ({path.relative_to(base_of(root))})"


def read(root: Path) -> Annotated:
    """Read every file of labels below a folder.

    Raises:
        ValueError: a file's header is not DeepLabCut's; names it.
    """
    gatherer = Gatherer(root)
    for path in walk(root):
        if path.suffix.lower() == ".csv" and _is_labels(path):
            _read_file(gatherer, path)
    edges = _edges(gatherer.root)
    for points in gatherer.point_sets.values():
        points.edges = [(a, b) for a, b in edges if a in points.names and b in points.names]
    return gatherer.finish()


def _is_labels(path: Path) -> bool:
    lines = head(path).splitlines()[:4]
    return (
        len(lines) > 2
        and lines[0].startswith("scorer,")
        and any(line.startswith("bodyparts,") for line in lines)
        and "likelihood" not in "".join(lines)
    )


def _read_file(gatherer: Gatherer, path: Path) -> None:
    rows = read_csv(read_lines(path), path)
    headers = {row[0]: row for row in rows[:4] if row and row[0] in _HEADERS}
    if "coords" not in headers or "bodyparts" not in headers:
        raise ValueError(f"{path}: its header has no rows `bodyparts` and `coords`")
    columns = _columns(headers)
    if not columns:
        raise ValueError(f"{path}: its header has no pairs of columns x, y")
    start = min(min(place) for place in columns.values())
    names = list(dict.fromkeys(part for animal, part in columns if animal != _UNIQUE))
    gatherer.point_sets.setdefault(_LABEL, PointSet(names=names or [p for _, p in columns]))
    for row in rows[len(headers) :]:
        stated = "/".join(text for text in row[:start] if text)
        image = gatherer.image(stated, near=path.parent, video=path.parent.name)
        if image is None:
            continue
        animals: dict[str, dict[str, Point]] = {}
        for (animal, part), (i, j) in columns.items():
            x, y = (number(row[k]) if k < len(row) and row[k] else math.nan for k in (i, j))
            if not (math.isnan(x) or math.isnan(y)):
                animals.setdefault(animal, {})[part] = (x, y, 2)
        for animal, keypoints in animals.items():
            if animal == _UNIQUE and names:
                reason = "points that belong to no individual"
                gatherer.dropped.add(reason, image.name, len(keypoints))
            else:
                gatherer.add(image, Instance(label=_LABEL, keypoints=keypoints))


def _columns(headers: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the columns of x and y by individual and body part."""
    parts, coords = headers["bodyparts"], headers["coords"]
    animals = headers.get("individuals", [""] * len(parts))
    found: dict[tuple[str, str], dict[str, int]] = {}
    for i, (animal, part, axis) in enumerate(zip(animals, parts, coords, strict=False)):
        if axis in ("x", "y"):
            found.setdefault((animal, part), {})[axis] = i
    return {key: (two["x"], two["y"]) for key, two in found.items() if len(two) == 2}


def _edges(root: Path) -> list[tuple[str, str]]:
    """Return the lines that a project's ``config.yaml`` draws between points."""
    path = root / "config.yaml"
    if not path.is_file():
        return []
    content = read_yaml(path)
    lines = content.get("skeleton") if isinstance(content, dict) else None
    pairs = [line for line in lines or () if isinstance(line, list) and len(line) == 2]
    return [(str(a), str(b)) for a, b in pairs]
