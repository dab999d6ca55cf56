"""Pose metrics: OKS AP on people, PCK and NME on points; all in source pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks

_COLUMNS = ("image_ids", "ids", "keypoints", "scores", "box_scores", "box_areas")


class OksAP(Metric):
    """The ten COCO numbers, in total and for every part of the skeleton.

    The annotated people are given whole, by ``set_ground_truth``, since crowds and people whom no
    box covers count too; the predictions come batch by batch, from any number of processes.

    Args:
        skeleton: names the points, their sigmas and the parts.
        nms_threshold: OKS above which the worse of two people of a picture is dropped.
        score_threshold: keypoints below it do not enter a person's score, which is
            ``box score * mean keypoint score`` (official ``bbox_keypoint``).
    """

    undefined: dict[str, str]

    def __init__(
        self,
        skeleton: str | Skeleton,
        *,
        nms_threshold: float = 0.9,
        score_threshold: float = 0.2,
    ) -> None:
        super().__init__()
        self.skeleton = Skeleton.load(skeleton)
        self.nms_threshold, self.score_threshold = nms_threshold, score_threshold
        self.undefined = {}
        self._truth: Mapping[str, Any] | None = None
        self._only_seen = False
        for name in _COLUMNS:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def set_ground_truth(self, coco: Mapping[str, Any], *, only_seen: bool = False) -> None:
        """Give the annotated people.

        Args:
            coco: COCO dictionary with the skeleton's keypoints.
            only_seen: leave out pictures of which no prediction came (trial runs on a part).

        Raises:
            ValueError: nobody is annotated, or with another number of keypoints.
        """
        if not coco["annotations"]:
            raise ValueError("the evaluation set has no annotated person to compare with")
        count = len(coco["annotations"][0]["keypoints"]) // 3
        if count != self.skeleton.num_keypoints:
            raise ValueError(
                f"the annotated people have {count} keypoints, the skeleton "
                f"{self.skeleton.name!r} has {self.skeleton.num_keypoints}; choose the skeleton "
                "of the annotations with `skeleton=`"
            )
        self._truth, self._only_seen = coco, only_seen

    def update(
        self,
        image_ids: Tensor,
        ids: Tensor,
        keypoints: Tensor,
        scores: Tensor,
        box_scores: Tensor,
        box_areas: Tensor,
    ) -> None:
        """Take in predicted people.

        Args:
            image_ids: ``(B,)`` int64.
            ids: ``(B,)`` int64, unique per person; a repeated one is counted once.
            keypoints: ``(B, K, 2)`` source pixels.
            scores: ``(B, K)``.
            box_scores: ``(B,)``.
            box_areas: ``(B,)`` px^2 of the padded box, the size that NMS goes by.
        """
        values = (image_ids, ids, keypoints, scores, box_scores, box_areas)
        for name, value in zip(_COLUMNS, values, strict=True):
            getattr(self, name).append(value)

    def compute(self) -> dict[str, float]:
        """Return the defined numbers: ``AP``, ..., and ``body/AP``, ... for every part.

        Raises:
            ValueError: no ground truth was given.
        """
        if self._truth is None:
            raise ValueError("OksAP needs `set_ground_truth` before it can compute")
        people = self._people()
        seen = sorted({p["image_id"] for p in people}) if self._only_seen else None
        numbers, self.undefined = oks.average_precision(
            self._truth, people, self.skeleton.sigmas, image_ids=seen
        )
        for part, members in self.skeleton.parts.items():
            values, reasons = oks.average_precision(
                self._truth,
                people,
                self.skeleton.sigmas,
                keypoints=members,
                part=part,
                image_ids=seen,
            )
            numbers |= {f"{part}/{name}": value for name, value in values.items()}
            self.undefined |= {f"{part}/{name}": reason for name, reason in reasons.items()}
        return numbers

    def _people(self) -> list[dict[str, Any]]:
        """Return COCO results: scored, each person once, near duplicates removed."""
        rows = {name: _stacked(getattr(self, name)) for name in _COLUMNS}
        _, first = np.unique(rows["ids"], return_index=True)
        rows = {name: values[first] for name, values in rows.items()}
        sure = rows["scores"] > self.score_threshold
        mean = (rows["scores"] * sure).sum(1) / np.maximum(sure.sum(1), 1)
        total = rows["box_scores"] * mean
        people = []
        for image_id in np.unique(rows["image_ids"]):
            members = np.flatnonzero(rows["image_ids"] == image_id)
            kept = oks.nms(
                rows["keypoints"][members],
                total[members],
                rows["box_areas"][members],
                self.skeleton.sigmas,
                self.nms_threshold,
            )
            for i in members[kept]:
                points = np.column_stack([rows["keypoints"][i], rows["scores"][i]])
                people.append(
                    {
                        "image_id": int(image_id),
                        "category_id": int(self._category),
                        "keypoints": points.ravel().tolist(),
                        "score": float(total[i]),
                    }
                )
        return people

    @property
    def _category(self) -> int:
        assert self._truth is not None
        return int(self._truth["annotations"][0]["category_id"])


class PCK(Metric):
    """Share of labelled keypoints that lie within a fraction of the person's size.

    Args:
        threshold: that fraction; the size is what ``update`` gets, the box's longer side.
    """

    correct: Tensor
    total: Tensor
    undefined: dict[str, str]

    def __init__(self, threshold: float = 0.1) -> None:
        super().__init__()
        self.threshold = threshold
        self.undefined = {}
        self.add_state("correct", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor) -> None:
        """Compare points ``(B, K, 2)`` where ``visible (B, K)``; ``scale (B,)`` in their pixels."""
        error, labelled = _relative_error(preds, target, visible, scale)
        self.correct += ((error <= self.threshold) & labelled).sum()
        self.total += labelled.sum()

    def compute(self) -> dict[str, float]:
        """Return ``PCK`` in 0..1."""
        self.undefined = {} if self.total else {"PCK": "no keypoint is labelled"}
        return {"PCK": float(self.correct / self.total)} if self.total else {}


class NME(Metric):
    """Mean distance of labelled keypoints as a share of the person's size."""

    distance: Tensor
    total: Tensor
    undefined: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self.undefined = {}
        self.add_state("distance", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor) -> None:
        """Compare points ``(B, K, 2)`` where ``visible (B, K)``; ``scale (B,)`` in their pixels."""
        error, labelled = _relative_error(preds, target, visible, scale)
        self.distance += error[labelled].sum()
        self.total += labelled.sum()

    def compute(self) -> dict[str, float]:
        """Return ``NME``; 0 is perfect."""
        self.undefined = {} if self.total else {"NME": "no keypoint is labelled"}
        return {"NME": float(self.distance / self.total)} if self.total else {}


def _relative_error(
    preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return distances ``(B, K)`` over the person's size, and which of them are labelled."""
    error = (preds - target).norm(dim=-1) / scale.clamp_min(1e-6)[:, None]
    return error, visible > 0


def _stacked(state: list[Tensor] | Tensor) -> np.ndarray[Any, Any]:
    """Join a list state, which torchmetrics has joined already after a reduction."""
    tensor = torch.cat(state) if isinstance(state, list) else state
    return tensor.cpu().numpy()
