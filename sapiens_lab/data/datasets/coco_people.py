"""The people of a COCO file as arrays, checked before the first training step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.discovery.coco import CocoFile, Wanted

log = logging.getLogger(__name__)

# Fraction of a COCO person's box that its mask covers, on average; used if the area is missing.
_AREA_OF_BOX = 0.53
# COCO-WholeBody keeps its 133 points under five keys; joined in this order.
_WHOLEBODY_KEYS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
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
        person = next((a for a in content["annotations"] if "keypoints" in a), None)
        if person is None:
            return "its annotations have no keypoints"
        found = len(join_keypoints(person, skeleton)) / 3
        if found == count:
            return ""
        return (
            f"its people have {found:g} keypoints, {skeleton.name!r} has {count}; skeleton=FILE "
            "takes the set from a file"
        )

    return Wanted(
        what=f"the {count} keypoints of {skeleton.name!r}",
        find_fault=find_fault,
        keys=("images", "annotations"),
        rank=lambda name: (
            not any(word in name for word in _WORDS),
            ("wholebody" in name) != (count == 133),
        ),
        remedy=", or the keypoint set with skeleton=FILE (the annotation file itself will do)",
    )


def join_keypoints(annotation: dict[str, Any], skeleton: Skeleton) -> list[float]:
    """Return the 3 K numbers of an annotation, the whole body's five lists joined."""
    own: list[float] = annotation.get("keypoints", [])
    if len(own) == 3 * skeleton.num_keypoints or "foot_kpts" not in annotation:
        return own
    return [number for key in _WHOLEBODY_KEYS for number in annotation.get(key, [])]


def read_people(
    file: CocoFile, skeleton: Skeleton, *, image_index: dict[Any, int], skip_faulty: bool
) -> People:
    """Return the people that can be trained on, by the official rules (sapiens_v1, 6.1).

    Crowds and people without a labeled keypoint are left out; boxes are cut to the image.

    Args:
        file: the annotations.
        skeleton: what the numbers mean.
        image_index: index of each image of this split by its id.
        skip_faulty: leave people with a faulty box out instead of raising.

    Raises:
        ValueError: boxes or keypoints are not what COCO's format says; names the annotations.
    """
    rows = [
        a
        for a in file.content["annotations"]
        if a["image_id"] in image_index and not a.get("iscrowd") and "keypoints" in a
    ]
    numbers = [join_keypoints(a, skeleton) for a in rows]
    _check_counts(file, rows, numbers, skeleton)
    points = np.array(numbers, np.float32).reshape(len(rows), skeleton.num_keypoints, 3)
    labeled = np.asarray((points[..., 2] > 0).any(1))
    rows = [a for a, keep in zip(rows, labeled, strict=True) if keep]
    points = points[labeled]
    if not rows:
        raise ValueError(
            f"{file.path}: no person has a labeled keypoint (the third number of each is 0), so "
            "there is nothing to learn from"
        )
    points[..., 2] = _flags(points[..., 2])
    points[points[..., 2] == 0] = 0
    index = np.array([image_index[a["image_id"]] for a in rows])
    sizes = _image_sizes(file, index)
    _check_pixels(file, points)
    boxes = _boxes(file, rows, points)
    _check_xywh(file, boxes, sizes)
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.clip(boxes, 0, np.tile(sizes[:, ::-1] - 1, 2))
    whole = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(1))
    if not whole.all():
        _report_empty_boxes(
            file, [a for a, ok in zip(rows, whole, strict=True) if not ok], skip_faulty
        )
    return People(
        ids=_ids(rows)[whole],
        image_index=index[whole],
        boxes=boxes[whole].astype(np.float32),
        points=points[whole],
        scores=np.ones(int(whole.sum()), np.float32),
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


def complete_annotation(annotation: dict[str, Any], skeleton: Skeleton) -> dict[str, Any]:
    """Return an annotation as the evaluation needs it: joined keypoints, box, area."""
    numbers = join_keypoints(annotation, skeleton) or [0.0] * (3 * skeleton.num_keypoints)
    points = np.array(numbers, np.float64).reshape(-1, 3)
    box = annotation.get("bbox") or _box_of_points(points).tolist()
    return {
        **{k: v for k, v in annotation.items() if k.endswith("_valid")},
        "id": annotation["id"],
        "category_id": annotation.get("category_id", 1),
        "keypoints": numbers,
        "num_keypoints": annotation.get("num_keypoints", int((points[:, 2] > 0).sum())),
        "bbox": box,
        "area": annotation.get("area") or _AREA_OF_BOX * box[2] * box[3],
        "iscrowd": annotation.get("iscrowd", 0),
    }


def _flags(visible: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 0, 1 or 2; COCO-WholeBody's faces and hands have a confidence instead, above 0."""
    confident = (visible > 0) & (visible % 1 > 0)
    return np.where(confident, 2, np.clip(visible, 0, 2)).astype(np.float32)


def _boxes(
    file: CocoFile, rows: Sequence[dict[str, Any]], points: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return boxes ``(N, 4)`` xywh; made from the keypoints where the file has none."""
    without = sum("bbox" not in a for a in rows)
    if without:
        log.warning(
            "%s: %d of %d people have no bbox; theirs are drawn around the keypoints",
            file.path, without, len(rows),
        )  # fmt: skip
    boxes = [a.get("bbox") or _box_of_points(p) for a, p in zip(rows, points, strict=True)]
    return np.array(boxes, np.float64).reshape(len(rows), 4)


def _box_of_points(points: NDArray[Any]) -> NDArray[np.float64]:
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


def _check_counts(
    file: CocoFile,
    rows: Sequence[dict[str, Any]],
    numbers: Sequence[Sequence[float]],
    skeleton: Skeleton,
) -> None:
    wanted = 3 * skeleton.num_keypoints
    wrong = [a for a, n in zip(rows, numbers, strict=True) if len(n) != wanted]
    if wrong:
        raise ValueError(
            f"{file.path}: {len(wrong)} people do not have the {skeleton.num_keypoints} keypoints "
            f"of {skeleton.name!r} (x, y, visible each): annotations {_named(wrong)}"
        )


def _check_pixels(file: CocoFile, points: NDArray[np.float32]) -> None:
    if points[..., :2].max() <= 1.5:
        raise ValueError(
            f"{file.path}: all keypoints lie between 0 and 1, so they seem to be fractions of the "
            "image; COCO's format wants pixels: multiply by width and height"
        )


def _check_xywh(file: CocoFile, boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
    """Refuse boxes that make sense as two corners and not as corner and size."""
    limit = np.tile(sizes[:, ::-1], 2) * 1.05 + 2
    far = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    leaves = (far > limit).any(1)
    corners = (boxes[:, 2:] > boxes[:, :2]).all(1) & (boxes <= limit).all(1)
    suspicious = leaves & corners
    if suspicious.mean() > 0.3:
        example = boxes[suspicious][0].tolist()
        raise ValueError(
            f"{file.path}: {suspicious.sum()} of {len(boxes)} boxes leave their image, e.g. "
            f"{example}; they seem to be [x1, y1, x2, y2], COCO's format wants "
            "[x, y, width, height]: subtract the first two numbers from the last two"
        )


def _report_empty_boxes(file: CocoFile, rows: Sequence[dict[str, Any]], skip: bool) -> None:
    message = f"{file.path}: {len(rows)} boxes have no area in their image: {_named(rows)}"
    if not skip:
        raise ValueError(
            f"{message}. Correct them, delete their `bbox` to have it drawn around the keypoints, "
            "or leave these people out with data.on_error=skip"
        )
    log.warning("%s; left out", message)


def _named(rows: Sequence[dict[str, Any]]) -> str:
    shown = ", ".join(f"id {a.get('id')} (image {a['image_id']})" for a in rows[:5])
    return shown + (", ..." if len(rows) > 5 else "")
