"""Label Studio's JSON, full or JSON-MIN.

Format: https://labelstud.io/guide/task_format and /guide/export. Positions are percent of the
image's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.importers.annotated import Annotated, AnnotatedImage, Box, Instance, Polygon
from sapiens_lab.data.importers.brush import decode_brush
from sapiens_lab.data.importers.files import first, head, walk
from sapiens_lab.data.importers.gather import Gatherer, ellipse, number, pairs
from sapiens_lab.data.importers.grouping import LooseBox, LoosePoint, add_loose
from sapiens_lab.data.importers.pixels import counts_of

_HIDDEN = ("occluded", "hidden", "invisible", "not visible")  # choices for a point

Result = Mapping[str, Any]


def find(root: Path) -> str | None:
    """Say that a folder holds an export of Label Studio, if it does."""
    path = first(root, ".json", _is_label_studio)
    return None if path is None else f"a Label Studio export ({path})"


def read(root: Path) -> Annotated:
    """Read every export of Label Studio below a folder.

    Raises:
        ValueError: a file is not JSON; names it.
    """
    gatherer = Gatherer(root)
    for path in walk(root):
        if path.suffix.lower() == ".json" and _is_label_studio(path):
            tasks = read_json(path)
            for task in tasks if isinstance(tasks, list) else [tasks]:
                if isinstance(task, dict):
                    _read_task(gatherer, path, task)
                else:
                    gatherer.dropped.add("tasks that are no dictionaries", path.name)
    return gatherer.finish()


def _is_label_studio(path: Path) -> bool:
    text = head(path)
    if not text.lstrip().startswith(("[", "{")) or '"shapes"' in text or '"items"' in text:
        return False
    has_tasks = '"data"' in text and ('"annotations"' in text or '"completions"' in text)
    return has_tasks or '"original_width"' in text


def _read_task(gatherer: Gatherer, path: Path, task: dict[str, Any]) -> None:
    results, urls = _results(task, gatherer, path)
    stated = next((_file_name(url) for url in urls if _file_name(url)), None)
    if stated is None:
        gatherer.dropped.add("tasks without an image", path.name)
        return
    sizes = {(number(r.get("original_height")), number(r.get("original_width"))) for r in results}
    if gatherer.files.find(stated) is None:
        stated = _without_prefix(stated) or stated
    image = gatherer.image(stated, size=next(iter(sizes)) if len(sizes) == 1 else None)
    if image is not None:
        _add_results(gatherer, image, results)


def _results(
    task: dict[str, Any], gatherer: Gatherer, path: Path
) -> tuple[list[Result], list[str]]:
    """Return the results of a task's last annotation that counts, and what may name its image."""
    versions = task.get("annotations", task.get("completions"))
    data = task.get("data")
    if isinstance(versions, list) and isinstance(data, dict):
        valid = [v for v in versions if isinstance(v, dict) and not v.get("was_cancelled")]
        cancelled = len(versions) - len(valid)
        gatherer.dropped.add("annotations that were skipped or cancelled", path.name, cancelled)
        if len(valid) > 1:
            gatherer.dropped.add("further annotations of the same image", path.name, len(valid) - 1)
        found = valid[-1].get("result") if valid else []
        rows = found if isinstance(found, list) else []
    else:  # JSON-MIN: results stand under the names of the controls
        data = task
        rows = [r for value in task.values() if isinstance(value, list) for r in value]
        rows = [_from_min(r) for r in rows if isinstance(r, dict)]
    results: list[Result] = [r for r in rows or () if isinstance(r, dict)]
    return results, [value for value in data.values() if isinstance(value, str)]


def _from_min(row: Mapping[str, Any]) -> Result:
    """Turn a result of JSON-MIN, which has no type, into one of the full form."""
    kind = next((key for key in row if key.endswith("labels")), "")
    return {**row, "type": kind, "value": row}


def _file_name(url: str) -> str:
    """Return the path within a URL; of local files, the one in its query; empty if none."""
    parts = urlsplit(url)
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    return path if "." in path.rpartition("/")[2] else ""


def _without_prefix(name: str) -> str | None:
    """Return a name without the eight letters that Label Studio puts before uploaded files."""
    base = name.rpartition("/")[2]
    start, dash, rest = base.partition("-")
    return rest if dash and len(start) == 8 and start.isalnum() else None


def _add_results(gatherer: Gatherer, image: AnnotatedImage, results: list[Result]) -> None:
    height, width = image.size
    groups = _groups(results)
    hidden = {str(r.get("id")) for r in results if r.get("type") == "choices" and _is_hidden(r)}
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    for result in results:
        kind, value = str(result.get("type")), result.get("value")
        if kind in ("relation", "choices", "textarea", "rating", "number", "labels"):
            continue
        if not isinstance(value, Mapping):
            gatherer.dropped.add("results without a value", image.name)
            continue
        label, name = _label(kind, value), str(result.get("id"))
        if kind.startswith("keypoint"):
            x, y = number(value.get("x")) * width / 100, number(value.get("y")) * height / 100
            point = (x, y, 1 if name in hidden else 2)
            points.append(LoosePoint(name=label, point=point, group=groups.get(name)))
        elif kind.startswith("rectangle"):
            boxes.append(LooseBox(label=label, box=_box(value, image), group=groups.get(name)))
        elif region := _region(gatherer, image, kind, value, label):
            gatherer.add(image, region)
    add_loose(gatherer, image, points, boxes)


def _groups(results: list[Result]) -> dict[str, str]:
    """Return the group of each result that a parent or a relation joins to another."""
    leader: dict[str, str] = {}

    def root(name: str) -> str:
        while name in leader and leader[name] != name:
            name = leader[name]
        return name

    joined = set()
    for a, b in _joined(results):
        joined |= {a, b}
        first, second = root(a), root(b)
        if first != second:
            leader[second] = first
    return {name: root(name) for name in joined}


def _joined(results: list[Result]) -> Iterator[tuple[str, str]]:
    for result in results:
        if result.get("type") == "relation":
            yield str(result.get("from_id")), str(result.get("to_id"))
        elif parent := result.get("parentID"):
            yield str(parent), str(result.get("id"))


def _is_hidden(result: Result) -> bool:
    value = result.get("value")
    choices = value.get("choices") if isinstance(value, Mapping) else None
    words = [str(c).lower() for c in choices] if isinstance(choices, list) else []
    return any(word in _HIDDEN for word in words)


def _label(kind: str, value: Mapping[str, Any]) -> str:
    labels = value.get(kind) or value.get("labels")
    return str(labels[0]) if isinstance(labels, list) and labels else kind.removesuffix("labels")


def _box(value: Mapping[str, Any], image: AnnotatedImage) -> Box:
    """Return the box in pixels; of one that is rotated about its corner, the box around it."""
    height, width = image.size
    left, top = number(value.get("x")) * width / 100, number(value.get("y")) * height / 100
    w, h = number(value.get("width")) * width / 100, number(value.get("height")) * height / 100
    turn = math.radians(number(value.get("rotation") or 0))
    across = (w * math.cos(turn), w * math.sin(turn))
    down = (-h * math.sin(turn), h * math.cos(turn))
    x = [left, left + across[0], left + down[0], left + across[0] + down[0]]
    y = [top, top + across[1], top + down[1], top + across[1] + down[1]]
    return min(x), min(y), max(x), max(y)


def _region(
    gatherer: Gatherer, image: AnnotatedImage, kind: str, value: Mapping[str, Any], label: str
) -> Instance | None:
    height, width = image.size
    if kind.startswith("polygon"):
        flat = pairs(value.get("points"))
        scaled: Polygon = [v * (height if i % 2 else width) / 100 for i, v in enumerate(flat)]
        return Instance(label=label, polygons=[scaled])
    if kind.startswith("ellipse"):
        keys = (("x", width), ("y", height), ("radiusX", width), ("radiusY", height))
        x, y, a, b = (number(value.get(key)) * size / 100 for key, size in keys)
        outline = ellipse((x, y), (a, b), number(value.get("rotation") or 0))
        return Instance(label=label, polygons=[outline])
    if kind.startswith("brush"):
        try:
            return Instance(
                label=label, counts=counts_of(decode_brush(value.get("rle"), image.size))
            )
        except ValueError as error:
            gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
            return None
    gatherer.dropped.add(f"results of the type {kind[:30]!r}", image.name)
    return None
