"""COCO's JSON, to divide it, choose its points or draw it as masks; CVAT's export of it too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.importers.annotated import (
    Annotated,
    AnnotatedImage,
    Box,
    Instance,
    Point,
    PointSet,
)
from sapiens_lab.data.importers.coco_masks import counts_of_rle
from sapiens_lab.data.importers.files import first, head, look
from sapiens_lab.data.importers.gather import Gatherer, number

# COCO-WholeBody keeps its 133 points under five keys; joined in this order.
_WHOLE_BODY = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def _whole_body() -> Skeleton:
    return Skeleton.load("wholebody133")


def find(root: Path) -> str | None:
    """Say that a folder holds COCO's JSON, if it does."""
    path = first(root, ".json", _is_coco)
    return None if path is None else f"COCO JSON ({path})"


def read(root: Path) -> Annotated:
    """Read every COCO file below a folder, each as the subset that its name or folder says.

    Raises:
        ValueError: a file is not JSON, or its lists are not lists; names it.
    """
    gatherer = Gatherer(root)
    read_by: dict[str, Path] = {}  # which file an image is annotated in
    for path in look(root, ".json"):
        if _is_coco(path):
            content = read_json(path)
            if isinstance(content, dict) and content.get("annotations"):
                if not _has_shapes(content["annotations"]):
                    gatherer.dropped.add("files without keypoints or regions", path.name)
                    continue
                for name in _read_file(gatherer, path, content):
                    if name in read_by:
                        raise ValueError(
                            f"{read_by[name]} and {path} both annotate {name}; move one away, or "
                            f"give the one that you want: `sapiens convert {path} OUT`"
                        )
                    read_by[name] = path
    return gatherer.finish()


def _is_coco(path: Path) -> bool:
    text = head(path)
    return text.lstrip().startswith("{") and (
        '"images"' in text or '"annotations"' in text or '"categories"' in text
    )


def _has_shapes(rows: Any) -> bool:
    """Return whether annotations are more than captions or names of panoptic masks."""
    found = rows if isinstance(rows, list) else [{"keypoints": 1}]  # what is wrong is said later
    return any(
        not isinstance(r, dict) or r.get("keypoints") or r.get("segmentation") for r in found
    )


def _read_file(gatherer: Gatherer, path: Path, content: dict[str, Any]) -> set[str]:
    """Read a file, and return the names of its images."""
    lists = {key: content.get(key) for key in ("images", "annotations", "categories")}
    for key, rows in lists.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{path}: `{key}` is no list of dictionaries")
    labels: dict[Any, str] = {}
    names: dict[str, list[str]] = {}
    for category in lists["categories"] or ():
        label = str(category.get("name"))
        labels[_key(category.get("id"))] = label
        names[label] = _note_points(gatherer, label, category)
    images: dict[Any, AnnotatedImage] = {}
    subset = path.parent.name if path.stem.startswith("_") else path.stem  # Roboflow's
    for row in lists["images"] or ():
        size = (number(row.get("height")), number(row.get("width")))
        stated = str(row.get("file_name"))
        image = gatherer.image(stated, size=size, near=path.parent, subset=subset)
        if image is not None:
            images[_key(row.get("id"))] = image
    for row in lists["annotations"] or ():
        image, found = (
            images.get(_key(row.get("image_id"))),
            labels.get(_key(row.get("category_id"))),
        )
        if image is None:
            gatherer.dropped.add("annotations of images that are left out", path.name)
        elif found is None:
            gatherer.dropped.add("annotations of a category that is not listed", path.name)
        else:
            gatherer.add(image, _instance(gatherer, row, image, found, names[found]))
    return {image.name for image in images.values()}


def _key(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else str(value)


def _note_points(gatherer: Gatherer, label: str, category: Mapping[str, Any]) -> list[str]:
    given = category.get("keypoints")
    names = [str(name) for name in given] if isinstance(given, list) else []
    lines = category.get("skeleton")
    pairs = (
        [line for line in lines if _is_edge(line, len(names))] if isinstance(lines, list) else []
    )
    if names:
        edges = [(names[a - 1], names[b - 1]) for a, b in pairs]
        gatherer.point_sets.setdefault(label, PointSet(names=names, edges=edges))
    return names


def _is_edge(line: Any, count: int) -> bool:
    return (
        isinstance(line, list)
        and len(line) == 2
        and all(isinstance(place, int) and 1 <= place <= count for place in line)
    )


def _instance(
    gatherer: Gatherer, row: Mapping[str, Any], image: AnnotatedImage, label: str, names: list[str]
) -> Instance:
    instance = Instance(
        label=label,
        keypoints=_keypoints(row, names),
        box=_box(row.get("bbox")),
        is_crowd=bool(row.get("iscrowd")),
    )
    shape = row.get("segmentation")
    if isinstance(shape, Mapping):
        try:
            instance.counts = counts_of_rle(shape, image.size)
        except ValueError as error:
            gatherer.dropped.add("masks that cannot be read", f"{image.name}: {error}")
    elif isinstance(shape, list):
        instance.polygons = [[number(v) for v in p] for p in shape if isinstance(p, list)]
    return instance


def _keypoints(row: Mapping[str, Any], names: list[str]) -> dict[str, Point]:
    keys = _WHOLE_BODY if "foot_kpts" in row else ("keypoints",)
    lists = [row.get(key) for key in keys]
    values = [number(value) for given in lists if isinstance(given, list) for value in given]
    if len(keys) > 1 and len(values) == 3 * _whole_body().num_keypoints:
        names = list(_whole_body().keypoints)
    if len(names) * 3 != len(values):
        names = [str(i + 1) for i in range(len(values) // 3)]
    points = zip(values[::3], values[1::3], values[2::3], strict=False)
    return {
        name: (x, y, 1 if visible == 1 else 2)
        for name, (x, y, visible) in zip(names, points, strict=False)
        if visible > 0
    }


def _box(given: Any) -> Box | None:
    if not isinstance(given, list) or len(given) != 4:
        return None
    x, y, w, h = (number(value) for value in given)
    return None if w == 0 or h == 0 else (x, y, x + w, y + h)
