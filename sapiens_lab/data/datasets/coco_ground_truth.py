"""The annotated people that AP is measured against, as arrays.

100,000 people as dictionaries of lists take 300 MB, and every loading process soon has a copy of
its own, since reading a Python object writes to it. Arrays are shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks import boxes, keypoints
from sapiens_lab.data.datasets.coco_people import box_of_points
from sapiens_lab.data.datasets.coco_points import PointColumns

# Fraction of a COCO person's box that its mask covers, on average; used if the area is missing.
AREA_OF_BOX = 0.53
_NUMBERS = ("id", "image_id", "category_id", "iscrowd", "num_keypoints")


class AnnotatedPeople(Sequence[dict[str, Any]]):
    """People as COCO annotations, each made when it is asked for.

    Args:
        rows: as ``complete_annotation`` returns them, with their ``image_id``.
        skeleton: of their keypoints.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], skeleton: Skeleton) -> None:
        points, boxes_, areas = [], [], []
        numbers: list[list[int]] = []
        flags: list[dict[str, bool]] = []
        for row in rows:
            points.append(row["keypoints"].astype(np.float64))
            boxes_.append(row["bbox"])
            areas.append(row["area"])
            numbers.append([row[name] for name in _NUMBERS])
            flags.append({k: bool(v) for k, v in row.items() if k.endswith("_valid")})
        count = len(points)
        self._points = np.array(points).reshape(count, 3 * skeleton.num_keypoints)
        self._boxes = np.array(boxes_, np.float64).reshape(count, 4)
        self._areas = np.array(areas, np.float64)
        self._numbers = np.array(numbers, np.int64).reshape(count, len(_NUMBERS))
        names = sorted({name for flag in flags for name in flag})
        self._flags = {name: np.array([flag.get(name, True) for flag in flags]) for name in names}

    def __len__(self) -> int:
        return len(self._points)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Return a person: the file's numbers, its keypoints as an array ``(3 K,)``."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return {
            **dict(zip(_NUMBERS, self._numbers[index].tolist(), strict=True)),
            "keypoints": self._points[index],
            "bbox": self._boxes[index].tolist(),
            "area": float(self._areas[index]),
            **{name: bool(flag[index]) for name, flag in self._flags.items()},
        }


def complete_annotation(annotation: dict[str, Any], columns: PointColumns) -> dict[str, Any] | None:
    """Return an annotation as the evaluation needs it: joined keypoints, box, area.

    ``None`` for one without numbers where they should be, which has been reported.
    """
    numbers = columns.numbers(annotation) or [0.0] * (3 * columns.count)
    values = keypoints.as_array([numbers])
    if values is None or values.size != 3 * columns.count or not _is_finite(values):
        return None
    points = columns.select(values)[0]
    box = annotation.get("bbox") or box_of_points(points).tolist()
    if boxes.check_lists([{"bbox": box}], name=str) or not _is_finite(box):
        return None
    return {
        **{k: v for k, v in annotation.items() if k.endswith("_valid")},
        "id": annotation["id"],
        "category_id": annotation.get("category_id") or 1,
        "keypoints": points.ravel(),
        "num_keypoints": int((points[:, 2] > 0).sum()),
        "bbox": box,
        "area": annotation.get("area") or AREA_OF_BOX * box[2] * box[3],
        "iscrowd": int(bool(annotation.get("iscrowd"))),
    }


def _is_finite(values: NDArray[Any] | Sequence[float]) -> bool:
    return bool(np.isfinite(values).all())
