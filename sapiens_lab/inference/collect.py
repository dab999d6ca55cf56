"""From the predictions of tasks to the results of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.sample import Meta
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.normal import NormalResult
from sapiens_lab.inference.results.parts import PartResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import Result
from sapiens_lab.tasks.depth import DepthTask
from sapiens_lab.tasks.pose import PoseTask
from sapiens_lab.tasks.segmentation import SegmentationTask
from sapiens_lab.tasks.task import Task
from sapiens_lab.visualize.image import RGBImage


def collect(
    image: RGBImage,
    path: str,
    tasks: Mapping[str, Task],
    predictions: Mapping[str, Sequence[Any]],
    metas: Mapping[str, Sequence[Meta]],
) -> list[Result]:
    """Return the results of one image, in the order of the tasks.

    Args:
        image: ``(H, W, 3)`` RGB.
        path: of the image.
        tasks: by name.
        predictions: of each task, one for each person, or one for the whole image.
        metas: of the same.
    """
    results: list[Result] = []
    labels = _dense(predictions.get("segmentation", ()), metas.get("segmentation", ()), "labels")
    person = None if labels is None else np.asarray(labels > 0)
    for name, task in tasks.items():
        rows, seen = predictions[name], metas[name]
        if isinstance(task, PoseTask):
            results.append(_pose(image, path, task, rows, seen))
        elif isinstance(task, SegmentationTask):
            if labels is None:
                labels = np.zeros(image.shape[:2], np.uint8)
            results.append(PartResult(image=image, path=path, labels=labels, parts=task.parts))
        elif isinstance(task, DepthTask):
            depth = _dense(rows, seen, "depth")
            if depth is None:
                depth = np.full(image.shape[:2], np.nan, np.float32)
            results.append(
                DepthResult(image=image, path=path, depth=depth, kind=task.kind, person=person)
            )
        else:
            normal = _dense(rows, seen, "normal")
            if normal is None:
                normal = np.zeros((3, *image.shape[:2]), np.float32)
            vectors = np.ascontiguousarray(normal.transpose(1, 2, 0))
            results.append(NormalResult(image=image, path=path, normal=vectors, person=person))
    return results


def _pose(
    image: RGBImage, path: str, task: PoseTask, rows: Sequence[Any], metas: Sequence[Meta]
) -> PoseResult:
    count = task.skeleton.num_keypoints
    return PoseResult(
        image=image,
        path=path,
        keypoints=np.array([r.keypoints for r in rows], np.float32).reshape(-1, count, 2),
        scores=np.array([r.scores for r in rows], np.float32).reshape(-1, count),
        boxes=Boxes(
            xyxy=np.array([meta.bbox for meta in metas], np.float32).reshape(-1, 4),
            scores=np.array([meta.bbox_score for meta in metas], np.float32),
        ),
        skeleton=task.skeleton,
    )


def _dense(rows: Sequence[Any], metas: Sequence[Meta], name: str) -> NDArray[Any] | None:
    """Return the map of the whole image, ``None`` where no one was found.

    Where a network has looked at people one by one, the map of the first is continued by those of
    the others in their boxes, the surest last.
    """
    if not rows:
        return None
    order = np.argsort([meta.bbox_score for meta in metas], kind="stable")
    maps = [np.asarray(getattr(rows[i], name).cpu().numpy()) for i in order]
    whole = maps[0] if len(maps) == 1 else maps[0].copy()
    for values, place in zip(maps[1:], order[1:], strict=True):
        x1, y1, x2, y2 = metas[place].bbox
        inside = (..., slice(max(0, int(y1)), int(y2) + 1), slice(max(0, int(x1)), int(x2) + 1))
        whole[inside] = values[inside]
    return whole
