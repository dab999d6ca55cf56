"""DeepLabCut: ``CollectedData_*.csv``, or .h5, of labeled frames, one or several animals.

Format: what DeepLabCut writes into ``labeled-data``; its header has the rows scorer, individuals
(of several animals), bodyparts and coords. The H5 beside a CSV holds the same and is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sapiens_lab.anatomy.yaml_files import read_yaml
from sapiens_lab.data.importers.annotated import Annotated, Instance, Point, PointSet
from sapiens_lab.data.importers.csv_files import read_csv, read_lines
from sapiens_lab.data.importers.deeplabcut_h5 import read_frame
from sapiens_lab.data.importers.files import base_of, head, look, walk
from sapiens_lab.data.importers.gather import Gatherer, number

_LABEL = "individual"
_UNIQUE = "single"  # how several animals' files call points that are no animal's
_AXES = ("x", "y")
_HEADERS = ("scorer", "individuals", "bodyparts", "coords")


@dataclass(slots=True, kw_only=True)
class _Table:
    """The labels of one file."""

    columns: list[tuple[str, str, str]]  # individual, body part, x or y
    rows: list[tuple[str, list[float]]] = field(default_factory=list)  # image, numbers


def find(root: Path) -> str | None:
    """Say that a folder holds DeepLabCut's labels, if it does."""
    files = (path for suffix in (".csv", ".h5") for path in look(root, suffix))
    path = next(_label_files(files), None)
    return None if path is None else f"DeepLabCut labels ({path.relative_to(base_of(root))})"


def read(root: Path) -> Annotated:
    """Read every file of labels below a folder.

    Raises:
        ValueError: a file's header is not DeepLabCut's; names it.
    """
    gatherer = Gatherer(root)
    for path in _label_files(walk(root)):
        _add(gatherer, path, _read_csv(path) if path.suffix.lower() == ".csv" else _read_h5(path))
    edges = _edges(gatherer.root)
    for points in gatherer.point_sets.values():
        points.edges = [(a, b) for a, b in edges if a in points.names and b in points.names]
    return gatherer.finish()


def _label_files(files: Iterable[Path]) -> Iterator[Path]:
    """Return the files of labels; of a CSV and an H5 of one name, the CSV."""
    for path in files:
        is_h5 = path.suffix.lower() == ".h5" and path.stem.startswith("CollectedData")
        if (is_h5 and not path.with_suffix(".csv").is_file()) or (
            path.suffix.lower() == ".csv" and _is_labels(path)
        ):
            yield path


def _is_labels(path: Path) -> bool:
    lines = head(path).splitlines()[:4]
    return (
        len(lines) > 2
        and lines[0].startswith("scorer,")
        and any(line.startswith("bodyparts,") for line in lines)
        and "likelihood" not in "".join(lines)
    )


def _read_csv(path: Path) -> _Table:
    rows = read_csv(read_lines(path), path)
    headers = {row[0]: row for row in rows[:4] if row and row[0] in _HEADERS}
    if "coords" not in headers or "bodyparts" not in headers:
        raise ValueError(f"{path}: its header has no rows `bodyparts` and `coords`")
    parts, coords = headers["bodyparts"], headers["coords"]
    animals = headers.get("individuals", [""] * len(parts))
    start = next((i for i, axis in enumerate(coords) if axis in _AXES), len(coords))
    table = _Table(columns=list(zip(animals, parts, coords, strict=False))[start:])
    for row in rows[len(headers) :]:
        stated = "/".join(text for text in row[:start] if text)
        table.rows.append((stated, [number(text) for text in row[start:]]))
    return table


def _read_h5(path: Path) -> _Table:
    columns, names, values = read_frame(path)
    if any(len(levels) not in (3, 4) for levels in columns):
        raise ValueError(f"{path}: its header has not the levels of DeepLabCut")
    table = _Table(columns=[(levels[1] if len(levels) == 4 else "", levels[-2], levels[-1])
                            for levels in columns])  # fmt: skip
    table.rows = [("/".join(name), row) for name, row in zip(names, values, strict=True)]
    return table


def _add(gatherer: Gatherer, path: Path, table: _Table) -> None:
    columns = _pairs(table.columns)
    if not columns:
        raise ValueError(f"{path}: its header has no pairs of columns x, y")
    names = list(dict.fromkeys(part for animal, part in columns if animal != _UNIQUE))
    gatherer.point_sets.setdefault(_LABEL, PointSet(names=names or [p for _, p in columns]))
    for stated, row in table.rows:
        image = gatherer.image(stated, near=path.parent, video=path.parent.name)
        if image is None:
            continue
        animals: dict[str, dict[str, Point]] = {}
        for (animal, part), (i, j) in columns.items():
            x, y = (row[k] if k < len(row) else math.nan for k in (i, j))
            if not (math.isnan(x) or math.isnan(y)):
                animals.setdefault(animal, {})[part] = (x, y, 2)
        for animal, keypoints in animals.items():
            if animal == _UNIQUE and names:
                reason = "points that belong to no individual"
                gatherer.dropped.add(reason, image.name, len(keypoints))
            else:
                gatherer.add(image, Instance(label=_LABEL, keypoints=keypoints))


def _pairs(columns: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the columns of x and y by individual and body part."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for i, (animal, part, axis) in enumerate(columns):
        if axis in _AXES:
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
    return [(a, b) for a, b in pairs if isinstance(a, str) and isinstance(b, str)]
