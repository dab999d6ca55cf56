"""The content of a COCO file: boxes and areas are made where a source has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.conversion.people import Target
from sapiens_lab.data.datasets.coco_ground_truth import AREA_OF_BOX
from sapiens_lab.data.datasets.coco_people import box_of_points
from sapiens_lab.data.importers.annotated import AnnotatedImage, Instance

_DIGITS = 2  # of a pixel that are written


@dataclass(slots=True)
class Made:
    """What a source lacked."""

    boxes: int = 0
    areas: int = 0


def coco_content(
    images: Sequence[tuple[AnnotatedImage, str]], target: Target | None, classes: Sequence[str]
) -> tuple[dict[str, Any], Made]:
    """Return a COCO file's content, and what had to be made for it.

    Args:
        images: with the ``file_name`` of each.
        target: the keypoints of people.
        classes: labels of regions.
    """
    categories: list[dict[str, Any]] = []
    if target is not None:
        index = {name: i + 1 for i, name in enumerate(target.points.names)}
        edges = [[index[a], index[b]] for a, b in target.points.edges]
        person = {"name": target.title, "keypoints": list(index), "skeleton": edges}
        categories.append({"id": 1, **person})
    for label in classes:
        if target is None or label != target.title:
            categories.append({"id": len(categories) + 1, "name": label})
    ids = {category["name"]: category["id"] for category in categories}
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    made = Made()
    for image_id, (image, file_name) in enumerate(images, 1):
        height, width = image.size
        content["images"].append(
            {"id": image_id, "file_name": file_name, "height": height, "width": width}
        )
        for instance in image.instances:
            row = {
                "id": len(content["annotations"]) + 1,
                "image_id": image_id,
                **_row(instance, image.size, target, made),
            }
            is_person = target is not None and bool(instance.keypoints)
            row["category_id"] = 1 if is_person else ids[instance.label]
            content["annotations"].append(row)
    return content, made


def points_of(instance: Instance, target: Target) -> list[tuple[float, float, int]]:
    """Return the keypoints in the order of the target, (0, 0, 0) for those not labeled."""
    return [instance.keypoints.get(name, (0, 0, 0)) for name in target.points.names]


def region_area(instance: Instance) -> float:
    """Return how many pixels a region covers, by its outlines or RLE."""
    if instance.counts is not None:
        return float(sum(instance.counts[1::2]))
    areas = []
    for polygon in instance.polygons:
        x, y = np.array(polygon[::2]), np.array(polygon[1::2])
        areas.append(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2)
    return sum(areas)


def _row(
    instance: Instance, size: tuple[int, int], target: Target | None, made: Made
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    points: list[tuple[float, float, int]] = []
    if target is not None and instance.keypoints:
        points = points_of(instance, target)
        row["keypoints"] = [_rounded(value) for point in points for value in point]
        row["num_keypoints"] = sum(point[2] > 0 for point in points)
    box = box_of(instance, np.array(points, np.float64).reshape(-1, 3), size)
    made.boxes += instance.box is None
    row["bbox"] = [_rounded(value) for value in box]
    if instance.counts is not None:
        row["segmentation"] = {"size": list(size), "counts": instance.counts}
    elif instance.polygons:
        row["segmentation"] = [[_rounded(v) for v in polygon] for polygon in instance.polygons]
    made.areas += not instance.has_region
    area = region_area(instance) if instance.has_region else AREA_OF_BOX * box[2] * box[3]
    return {**row, "area": round(area, _DIGITS), "iscrowd": int(instance.is_crowd)}


def box_of(
    instance: Instance, points: NDArray[np.float64], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return xywh within the image: the source's, or around the region, or the keypoints.

    Args:
        instance: a person or a region.
        points: its keypoints ``(K, 3)``, x, y, visible.
        size: (height, width) of the image.
    """
    if instance.box is not None:
        left, top, right, bottom = instance.box
    elif instance.polygons:
        x = [v for polygon in instance.polygons for v in polygon[::2]]
        y = [v for polygon in instance.polygons for v in polygon[1::2]]
        left, top, right, bottom = min(x), min(y), max(x), max(y)
    elif instance.counts is not None:
        left, top, right, bottom = _bounds_of_runs(instance.counts, size[0])
    else:
        left, top, width, height = box_of_points(points).tolist()
        right, bottom = left + width, top + height
    left, right = (min(max(value, 0), size[1]) for value in (left, right))
    top, bottom = (min(max(value, 0), size[0]) for value in (top, bottom))
    return left, top, right - left, bottom - top


def _bounds_of_runs(counts: Sequence[int], height: int) -> tuple[float, float, float, float]:
    """Return xyxy around the ones of COCO's RLE."""
    ends = np.cumsum(np.array(counts, np.int64))
    start, stop = ends[:-1:2], ends[1::2] - 1  # first and last place of each run of ones
    keep = stop >= start
    start, stop = start[keep], stop[keep]
    if not len(start):
        return 0, 0, 0, 0
    crosses = start // height != stop // height  # over the end of a column
    top = 0 if crosses.any() else int((start % height).min())
    bottom = height - 1 if crosses.any() else int((stop % height).max())
    return float(start[0] // height), float(top), float(stop[-1] // height + 1), float(bottom + 1)


def _rounded(value: float) -> float | int:
    number = round(float(value), _DIGITS)
    return int(number) if number.is_integer() else number
