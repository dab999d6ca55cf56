"""Object keypoint similarity and the ten COCO numbers made of it.

OKS is from the COCO keypoint task: ``mean(exp(-d^2 / (2 s^2 k^2)))`` over labelled keypoints, with
``s^2`` the annotated area and ``k = 2 * sigma``. Average precision and recall are counted by
faster-coco-eval, which gives the numbers of pycocotools with any sigmas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def average_precision(
    ground_truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    sigmas: Sequence[float] | NDArray[np.float64],
    *,
    keypoints: Sequence[int] | None = None,
    part: str | None = None,
    image_ids: Sequence[int] | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Score detected people against annotated ones.

    Args:
        ground_truth: COCO dictionary with ``images``, ``categories`` and ``annotations``; the
            annotations have ``keypoints`` (3 K numbers), ``area`` and ``iscrowd``.
        detections: COCO results with ``image_id``, ``category_id``, ``keypoints`` and ``score``.
        sigmas: ``(K,)`` of all keypoints.
        keypoints: compare these only. A person without a labelled one is ignored.
        part: name of that selection; where the annotation's flag (``face_valid`` ...) is false,
            its points count as unlabelled.
        image_ids: compare these pictures only.

    Returns:
        The defined ones of the ten numbers, and the reasons why others are undefined.
    """
    chosen = list(range(len(sigmas))) if keypoints is None else list(keypoints)
    annotations = [_annotation(a, chosen, part) for a in ground_truth["annotations"]]
    if image_ids is not None:
        seen = set(image_ids)
        annotations = [a for a in annotations if a["image_id"] in seen]
    areas = [a["area"] for a in annotations if a["num_keypoints"] and not a["iscrowd"]]
    if not areas:
        return {}, dict.fromkeys(NAMES, "no annotated person has a labelled keypoint of it")
    truth = COCO(
        {
            "info": {},
            "images": ground_truth["images"],
            "categories": ground_truth["categories"],
            "annotations": annotations,
        }
    )
    results = truth.loadRes([_detection(d, chosen) for d in detections])
    evaluation = COCOeval_faster(
        truth,
        results,
        iouType="keypoints",
        kpt_oks_sigmas=np.asarray(sigmas, np.float64)[chosen],
        print_function=_silent,
    )
    if image_ids is not None:
        evaluation.params.imgIds = sorted(seen)
    evaluation.run()
    numbers = dict(zip(NAMES, map(float, evaluation.stats[: len(NAMES)]), strict=True))
    undefined = _undefined(areas)
    return {n: v for n, v in numbers.items() if n not in undefined}, undefined


def nms(
    keypoints: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]],
    areas: NDArray[np.floating[Any]],
    sigmas: NDArray[np.float64],
    threshold: float,
) -> list[int]:
    """Keep the best of people that are nearly the same (official ``oks_nms``).

    Args:
        keypoints: ``(N, K, 2)`` source pixels, the people of one picture.
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


def _annotation(source: Mapping[str, Any], chosen: list[int], part: str | None) -> dict[str, Any]:
    points = np.asarray(source["keypoints"], np.float64).reshape(-1, 3)[chosen]
    flag = _VALID_FLAG.get(part or "")
    if flag is not None and not source.get(flag, True):
        points[:, 2] = 0
    num_labelled = int((points[:, 2] > 0).sum())
    if part is None:  # the file's own count decides whom COCO ignores
        num_labelled = min(num_labelled, int(source.get("num_keypoints", num_labelled)))
    kept = ("id", "image_id", "category_id", "area", "bbox")
    return {
        **{key: source[key] for key in kept},
        "iscrowd": source.get("iscrowd", 0),
        "keypoints": points.ravel().tolist(),
        "num_keypoints": num_labelled,
    }


def _detection(source: Mapping[str, Any], chosen: list[int]) -> dict[str, Any]:
    points = np.asarray(source["keypoints"], np.float64).reshape(-1, 3)[chosen]
    return {**source, "keypoints": points.ravel().tolist()}


def _undefined(areas: Sequence[float]) -> dict[str, str]:
    """Say which of the ten numbers have no person to count."""
    undefined = {}
    if not any(_MEDIUM <= area <= _LARGE for area in areas):
        reason = "no annotated person is of medium size (area 32^2 to 96^2 px)"
        undefined |= {"AP_M": reason, "AR_M": reason}
    if not any(area >= _LARGE for area in areas):
        reason = "no annotated person is large (area from 96^2 px)"
        undefined |= {"AP_L": reason, "AR_L": reason}
    if not any(area > 0 for area in areas):
        undefined |= dict.fromkeys(NAMES, "the annotated areas are all zero")
    return undefined


def _silent(*args: Any) -> None:
    """Swallow the table that COCO's evaluation prints."""
