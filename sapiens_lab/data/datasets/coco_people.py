"""The people of a COCO file as arrays, checked before the first training step."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks import boxes as box_checks
from sapiens_lab.data.checks import keypoints
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.finding import OnError, settle
from sapiens_lab.data.checks.json_files import check_twins
from sapiens_lab.data.checks.sides import check_faces
from sapiens_lab.data.datasets.coco_points import PointColumns, find_columns
from sapiens_lab.data.discovery.coco import CocoFile, Wanted

log = logging.getLogger(__name__)

_WORDS = ("keypoint", "wholebody", "kpt", "pose", "coco")  # in the names of likelier files


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """``N`` people. Arrays, not lists: worker processes share them without copying."""

    ids: NDArray[np.int64]  # (N,)
    image_index: NDArray[np.int64]  # (N,) index into the file's list of images
    boxes: NDArray[np.float32]  # (N, 4) xyxy source pixels
    points: NDArray[np.float32]  # (N, K, 3) x, y, visible 0..2
    scores: NDArray[np.float32]  # (N,) of the detector, 1 for annotated boxes


def wanted_people(skeleton: Skeleton) -> Wanted:
    """Return what an annotation file must hold: people with the skeleton's keypoints."""
    count = skeleton.num_keypoints

    def find_fault(content: dict[str, Any]) -> str:
        try:
            find_columns(content, skeleton)
        except ValueError as error:
            return str(error)
        return ""

    return Wanted(
        what=f"the {count} keypoints of {skeleton.name!r}",
        find_fault=find_fault,
        keys=("images", "annotations"),
        rank=lambda name: _rank(name, is_whole_body=count == 133),
        remedy=", or the keypoint set with skeleton=FILE (the annotation file itself will do)",
    )


def any_people() -> Wanted:
    """Return what an annotation file must hold: people with keypoints, however many."""

    def find_fault(content: dict[str, Any]) -> str:
        has_some = any(a.get("keypoints") for a in content["annotations"])
        return "" if has_some else "its annotations have no keypoints"

    return Wanted(
        what="keypoints",
        find_fault=find_fault,
        keys=("images", "annotations"),
        rank=lambda name: _rank(name, is_whole_body=False),
        remedy="",
    )


def _rank(name: str, *, is_whole_body: bool) -> tuple[bool, bool]:
    return not any(word in name for word in _WORDS), ("wholebody" in name) != is_whole_body


def read_people(
    file: CocoFile, columns: PointColumns, *, image_index: dict[Any, int], on_error: OnError
) -> People:
    """Return the people that can be trained on, by the official rules (sapiens_v1, 6.1).

    Crowds and people without a labeled keypoint are left out; boxes are cut to the image.

    Args:
        file: the annotations.
        columns: where its lists hold the skeleton's keypoints.
        image_index: index of each image of this split by its id.
        on_error: ``skip`` leaves people with faults out instead of raising.

    Raises:
        ValueError: boxes or keypoints are not what COCO's format says; names the annotations.
    """
    people = [
        a
        for a in file.content["annotations"]
        if a["image_id"] in image_index and not a.get("iscrowd") and "keypoints" in a
    ]
    if not people:
        raise ValueError(_why_empty(file, people, image_index))
    named = _Names(file, image_index)
    rows, values = _well_formed(file, people, columns, named=named, on_error=on_error)
    points = columns.select(values).astype(np.float64)
    index = np.array([image_index[a["image_id"]] for a in rows], np.int64)
    sizes = _image_sizes(file, index)
    faults = keypoints.check_values(keypoints.Columns.of(points), sizes, name=named.of(rows))
    labeled = np.asarray((points[..., 2] > 0).any(1))
    if not labeled.any():
        settle(faults, source=file.path)
        raise ValueError(_why_empty(file, people, image_index))
    bad = settle(faults, source=file.path, on_error=on_error)
    labeled[bad] = False
    rows = [a for a, keep in zip(rows, labeled, strict=True) if keep]
    points, index, sizes = points[labeled], index[labeled], sizes[labeled]
    points[..., 2] = _flags(points[..., 2])
    points[points[..., 2] == 0] = 0
    boxes = _boxes(file, rows, points)
    skeleton = columns.skeleton
    kept = _without_faults(file, boxes, points, index, sizes, skeleton, named.of(rows), on_error)
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.clip(boxes, 0, np.tile(sizes[:, ::-1] - 1, 2))
    return People(
        ids=_ids(rows)[kept],
        image_index=index[kept],
        boxes=boxes[kept].astype(np.float32),
        points=points[kept].astype(np.float32),
        scores=np.ones(int(kept.sum()), np.float32),
    )


class _Names:
    """How messages call an annotation: by its id and the name of its image."""

    def __init__(self, file: CocoFile, image_index: dict[Any, int]) -> None:
        self._images, self._index = file.content["images"], image_index

    def of(self, rows: Sequence[dict[str, Any]]) -> Callable[[int], str]:
        """Return a function that names the rows of a list by their places."""

        def name(i: int) -> str:
            image = self._images[self._index[rows[i]["image_id"]]]
            return f"id {rows[i].get('id')} ({image['file_name']})"

        return name


def _well_formed(
    file: CocoFile,
    rows: Sequence[dict[str, Any]],
    columns: PointColumns,
    *,
    named: _Names,
    on_error: OnError,
) -> tuple[Sequence[dict[str, Any]], NDArray[Any]]:
    """Return the annotations whose boxes and keypoints are lists of numbers, and the latter.

    The keypoints are ``(N, 3 F)``, all of the file's.
    """
    categories = file.content.get("categories") or []
    used = Counter(a.get("category_id") for a in rows)
    numbers = [columns.numbers(a) for a in rows]
    name, by_name = named.of(rows), columns.columns is not None
    lists = keypoints.check_lists(numbers, columns.count, columns.owner, name=name)
    values = None if lists else keypoints.as_array(numbers)
    bad = settle(
        [
            *keypoints.check_categories(categories, used),
            *([] if by_name else keypoints.check_names(categories, used, columns.skeleton)),
            lists,
            None if values is not None else keypoints.check_numbers(numbers, name=name),
            box_checks.check_lists(rows, name=name),
        ],
        source=file.path,
        on_error=on_error,
    )
    if values is not None and not len(bad):
        return rows, values
    left_out = set(bad.tolist())
    kept = [i for i in range(len(rows)) if i not in left_out]
    if values is None:  # some rows were faulty; those left are numbers
        return [rows[i] for i in kept], np.array([numbers[i] for i in kept], np.float64)
    return [rows[i] for i in kept], values[kept]


def _without_faults(
    file: CocoFile,
    boxes: NDArray[np.float64],
    points: NDArray[np.float64],
    index: NDArray[np.int64],
    sizes: NDArray[np.float64],
    skeleton: Skeleton,
    name: Callable[[int], str],
    on_error: OnError,
) -> NDArray[np.bool_]:
    """Return which people have boxes (xywh) and keypoints that make sense."""
    columns = keypoints.Columns.of(points)
    faults = [
        box_checks.check_finite(boxes, name=name),
        box_checks.check_area(boxes, sizes, name=name),
        keypoints.check_pixels(columns, name=name),
        keypoints.check_percent(columns, sizes),
        keypoints.check_collapsed(columns, name=name),
        check_faces(
            Annotations(boxes=boxes, points=points, image_index=index, name=name), skeleton
        ),
        check_twins(keypoints.marks(index, points), name=name),
    ]
    if all(fault is None or fault.severity == "warning" for fault in faults):
        faults += [
            form := box_checks.check_form(boxes, columns, sizes, name=name),
            None if form else box_checks.check_fit(boxes, columns, name=name),
            None if form else box_checks.check_looseness(boxes, columns),
        ]
    kept = np.ones(len(boxes), bool)
    kept[settle(faults, source=file.path, on_error=on_error)] = False
    return kept


def _why_empty(
    file: CocoFile, people: Sequence[dict[str, Any]], image_index: dict[Any, int]
) -> str:
    """Say why no annotation is a person that can be trained on."""
    here = [a for a in file.content["annotations"] if a["image_id"] in image_index]
    crowds = sum(bool(a.get("iscrowd")) for a in here)
    without = len(here) - crowds - len(people)
    reasons = (
        f"{crowds} are crowds (iscrowd)" if crowds else "",
        f"{without} have no keypoints" if without else "",
        f"{len(people)} have none that is labeled (the third number of each is 0)"
        if people
        else "",
    )
    return (
        f"{file.path}: no person has a labeled keypoint, so there is nothing to learn from: of "
        f"{len(here)} annotations of {len(image_index)} images, "
        + " and ".join(reason for reason in reasons if reason)
    )


def detected_people(
    detections: Sequence[dict[str, Any]],
    skeleton: Skeleton,
    *,
    image_index: dict[Any, int],
    min_score: float,
) -> People:
    """Return people found by a detector: COCO results, category 1, without keypoints."""
    rows = [
        d
        for d in detections
        if d["image_id"] in image_index
        and d.get("category_id", 1) == 1
        and d["score"] >= min_score
        and min(d["bbox"][2:]) > 0
    ]
    boxes = np.array([d["bbox"] for d in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return People(
        ids=np.arange(len(rows)),
        image_index=np.array([image_index[d["image_id"]] for d in rows], np.int64),
        boxes=boxes,
        points=np.zeros((len(rows), skeleton.num_keypoints, 3), np.float32),
        scores=np.array([d["score"] for d in rows], np.float32),
    )


def _flags(visible: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0, 1 or 2; COCO-WholeBody's faces and hands have a confidence instead, above 0."""
    confident = (visible > 0) & (visible % 1 > 0)
    return np.where(confident, 2, np.clip(visible, 0, 2))


def _boxes(
    file: CocoFile, rows: Sequence[dict[str, Any]], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return boxes ``(N, 4)`` xywh; made from the keypoints where the file has none."""
    without = sum("bbox" not in a for a in rows)
    if without:
        log.warning(
            "%s: %d of %d people have no bbox; theirs are drawn around the keypoints",
            file.path, without, len(rows),
        )  # fmt: skip
    boxes = [a.get("bbox") or box_of_points(p) for a, p in zip(rows, points, strict=True)]
    return np.array(boxes, np.float64).reshape(len(rows), 4)


def box_of_points(points: NDArray[Any]) -> NDArray[np.float64]:
    """Return xywh around the labeled points ``(K, 3)``, a tenth larger on every side."""
    xy = points[points[:, 2] > 0, :2].astype(np.float64)
    if not len(xy):
        return np.zeros(4)
    low, extent = xy.min(0), np.maximum(np.ptp(xy, axis=0), 1)
    return np.concatenate([low - 0.1 * extent, 1.2 * extent])


def _image_sizes(file: CocoFile, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (height, width) ``(N, 2)`` as the file states them; unbounded where it does not."""
    images = file.content["images"]
    sizes = [(i.get("height") or np.inf, i.get("width") or np.inf) for i in images]
    return np.array(sizes, np.float64)[index]


def _ids(rows: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    ids = [a.get("id") for a in rows]
    unique = len(set(ids)) == len(ids) and all(isinstance(i, int) for i in ids)
    return np.array(ids if unique else range(len(rows)), np.int64)
