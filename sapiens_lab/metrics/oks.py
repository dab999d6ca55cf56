"""Object keypoint similarity and the ten COCO metrics made of it.

OKS is from the COCO keypoint task: ``mean(exp(-d^2 / (2 s^2 k^2)))`` over labeled keypoints, with
``s^2`` the annotated area and ``k = 2 * sigma``. Average precision and recall are counted by
faster-coco-eval, which agrees with pycocotools and takes any sigmas.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

NAMES = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
_MEDIUM = 32**2  # px^2; COCO has no small people: keypoints are not annotated on them
_LARGE = 96**2
# Which flag of a COCO-WholeBody annotation vouches for a part.
_VALID_FLAG = {
    "foot": "foot_valid",
    "face": "face_valid",
    "left_hand": "lefthand_valid",
    "right_hand": "righthand_valid",
}
# All people are compared with all, whatever ids the two sides give a person.
_PERSON = 1


def average_precision(
    ground_truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    keypoints: Sequence[int] | None = None,
    body: Sequence[int] | None = None,
    part: str | None = None,
    image_ids: Collection[int] | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Score detected people against annotated ones.

    Args:
        ground_truth: COCO dictionary with ``images`` and ``annotations``; the annotations have
            ``image_id``, ``keypoints`` (3 K values), ``area``, ``bbox`` and ``iscrowd``.
        detections: COCO results with ``image_id``, ``keypoints`` (3 K values) and ``score``. One
            that matches no annotation counts in the ``_M`` or ``_L`` metrics by its size: that of
            ``bbox`` (xywh) where given, else of the box around its ``body`` keypoints.
        sigmas: ``(K,)`` of all keypoints.
        keypoints: compare these only. A person without a labeled one is ignored.
        body: keypoints that give a detection its size; ``None`` takes all. xtcocotools takes the 17
            of the body, whatever part it compares.
        part: name of that selection; where the annotation's flag (``face_valid`` ...) is false,
            its points count as unlabeled.
        image_ids: compare these images only.

    Returns:
        Those of the ten metrics that are defined, and the reasons why others are undefined.

    Raises:
        ValueError: a person was detected in an image that the ground truth lacks.
    """
    every = np.arange(len(sigmas))
    chosen = every if keypoints is None else np.asarray(keypoints)
    sizing = every if body is None else np.asarray(body)
    images = {int(image["id"]) for image in ground_truth["images"]}
    if strange := {int(d["image_id"]) for d in detections} - images:
        raise ValueError(f"people detected in images without ground truth: {sorted(strange)[:5]}")
    if image_ids is not None:
        images &= set(image_ids)
    sources = [a for a in ground_truth["annotations"] if int(a["image_id"]) in images]
    annotations = [_annotation(i, a, chosen, part) for i, a in enumerate(sources, 1)]
    found = [_detection(d, chosen, sizing) for d in detections if int(d["image_id"]) in images]
    areas = [a["area"] for a in annotations if a["num_keypoints"] and not a["iscrowd"]]
    undefined = _undefined(areas, part or "")
    if len(undefined) == len(NAMES):
        return {}, undefined
    metrics = _count(annotations, found, np.asarray(sigmas, np.float64)[chosen], sorted(images))
    return {n: v for n, v in metrics.items() if n not in undefined}, undefined


def person_scores(
    scores: NDArray[np.float64], box_scores: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    """Return ``(N,)`` box score times mean of the keypoint scores above ``threshold``.

    Official ``score_mode="bbox_keypoint"``; 0 where no keypoint score ``(N, K)`` is above it.
    """
    sure = scores > threshold
    mean = np.where(sure, scores, 0).sum(1) / np.maximum(sure.sum(1), 1)
    return np.asarray(box_scores * mean)


def nms(
    keypoints: NDArray[np.float64],
    scores: NDArray[np.float64],
    areas: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    threshold: float,
) -> list[int]:
    """Keep the best of people that are nearly the same (official ``oks_nms``).

    Args:
        keypoints: ``(N, K, 2)`` source pixels, the people of one image.
        scores: ``(N,)``.
        areas: ``(N,)`` px^2.
        sigmas: ``(K,)``.
        threshold: OKS above which the worse of two is dropped.

    Returns:
        Indices of those kept, best first.
    """
    order = np.argsort(scores)[::-1]
    keep = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(int(best))
        distance = ((keypoints[rest] - keypoints[best]) ** 2).sum(-1)  # (n, K)
        size = (areas[rest] + areas[best])[:, None] / 2 + np.spacing(1)
        similarity = np.exp(-distance / (2 * sigmas) ** 2 / size / 2).mean(-1)
        order = rest[similarity <= threshold]
    return keep


def _count(
    annotations: list[dict[str, Any]],
    detections: list[dict[str, Any]],
    sigmas: NDArray[np.float64],
    image_ids: list[int],
) -> dict[str, float]:
    """Return the ten metrics; -1 where there was no person to count."""
    gt = COCO(
        {
            "info": {},
            "images": [{"id": i} for i in image_ids],
            "categories": [{"id": _PERSON, "name": "person"}],
            "annotations": annotations,
        },
        print_function=_silent,
    )
    evaluation = COCOeval_faster(
        gt,
        gt.loadRes(detections),
        iouType="keypoints",
        kpt_oks_sigmas=sigmas,
        print_function=_silent,
    )
    evaluation.run()
    return dict(zip(NAMES, map(float, evaluation.stats[: len(NAMES)]), strict=True))


def _annotation(
    number: int, source: Mapping[str, Any], chosen: NDArray[np.int64], part: str | None
) -> dict[str, Any]:
    """Copy what the evaluation needs, numbered from 1: id 0 means "no match" there."""
    points = np.array(source["keypoints"], np.float64).reshape(-1, 3)[chosen]
    flag = _VALID_FLAG.get(part or "")
    if flag is not None and not source.get(flag, True):
        points[:, 2] = 0
    return {
        "id": number,
        "image_id": int(source["image_id"]),
        "category_id": _PERSON,
        "area": float(source["area"]),
        "bbox": source["bbox"],
        "iscrowd": int(source.get("iscrowd", 0)),
        "keypoints": points.ravel(),
        # Counted, not read: COCO-WholeBody's own count is that of the body alone.
        "num_keypoints": int((points[:, 2] > 0).sum()),
    }


def _detection(
    source: Mapping[str, Any], chosen: NDArray[np.int64], sizing: NDArray[np.int64]
) -> dict[str, Any]:
    points = np.asarray(source["keypoints"], np.float64).reshape(-1, 3)
    low, high = points[sizing, :2].min(0), points[sizing, :2].max(0)
    return {
        "bbox": source.get("bbox", [*low, *(high - low)]),
        "image_id": int(source["image_id"]),
        "category_id": _PERSON,
        "keypoints": points[chosen].ravel(),
        "score": float(source["score"]),
    }


def _undefined(areas: Sequence[float], part: str) -> dict[str, str]:
    """Say which of the ten metrics have no person to count, given the ``areas`` of those who do."""
    labeled = f"with a labeled {part + ' ' if part else ''}keypoint"
    if not areas:
        return dict.fromkeys(NAMES, f"no annotated person {labeled}")
    if max(areas) <= 0:
        return dict.fromkeys(NAMES, "the annotated areas are all zero")
    undefined = {}
    if not any(_MEDIUM <= area <= _LARGE for area in areas):
        reason = f"no annotated person of medium area (32^2 to 96^2 px) {labeled}"
        undefined = {"AP_M": reason, "AR_M": reason}
    if not any(area >= _LARGE for area in areas):
        reason = f"no annotated person of large area (from 96^2 px) {labeled}"
        undefined |= {"AP_L": reason, "AR_L": reason}
    return undefined


def _silent(*args: Any) -> None:
    """Swallow the table that COCO's evaluation prints."""
