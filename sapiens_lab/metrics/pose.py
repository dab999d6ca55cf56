"""Pose metrics: OKS AP on people, PCK and NME on points; all in source pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks
from sapiens_lab.ranges import Fraction, Positive

_COLUMNS = ("image_ids", "ids", "keypoints", "scores", "box_scores", "box_areas")


class OksAP(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """The ten COCO metrics, in total and for every part of the skeleton.

    ``set_ground_truth`` gives all annotated people at once, since crowds and people outside every
    box count too; the predictions come batch by batch, from any number of processes.

    Args:
        skeleton: names the points, their sigmas and the parts.
        nms_threshold: OKS above which the worse of two people of an image is dropped.
        score_threshold: keypoints below it do not enter a person's score, which is
            ``box score * mean keypoint score`` (official ``bbox_keypoint``).
    """

    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out

    def __init__(
        self,
        skeleton: str | Skeleton,
        *,
        nms_threshold: Fraction = 0.9,
        score_threshold: Fraction = 0.2,
    ) -> None:
        super().__init__()
        self.skeleton = Skeleton.load(skeleton)
        self.nms_threshold, self.score_threshold = nms_threshold, score_threshold
        self.undefined = {}
        prefixes = ["", *(f"{part}/" for part in self.skeleton.parts)]
        self.names = tuple(prefix + name for prefix in prefixes for name in oks.NAMES)
        self._gt: Mapping[str, Any] | None = None
        self._only_seen = False
        self._left_out: frozenset[int] = frozenset()
        for name in _COLUMNS:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def set_ground_truth(self, coco: Mapping[str, Any], *, only_seen: bool = False) -> None:
        """Give the annotated people.

        Args:
            coco: COCO dictionary with the skeleton's keypoints.
            only_seen: leave out images of which no prediction came (trial runs on a part).

        Raises:
            ValueError: no person is annotated, or one with another number of keypoints.
        """
        K = self.skeleton.num_keypoints
        for annotation in coco["annotations"]:
            if len(annotation["keypoints"]) != 3 * K:
                raise ValueError(
                    f"the annotated person {annotation.get('id')} has "
                    f"{len(annotation['keypoints']) // 3} keypoints, the skeleton "
                    f"{self.skeleton.name!r} has {K}; choose the skeleton of the annotations "
                    "with `skeleton=`"
                )
        if not any(max(a["keypoints"][2::3]) > 0 for a in coco["annotations"]):
            raise ValueError("the evaluation set has no annotated person with a labeled keypoint")
        self._gt, self._only_seen = coco, only_seen

    def leave_out(self, image_ids: Collection[int]) -> None:
        """Leave images out that could not be read, of this evaluation only."""
        self._left_out = frozenset(image_ids)

    def update(
        self,
        image_ids: Tensor,
        ids: Tensor,
        keypoints: Tensor,
        scores: Tensor,
        box_scores: Tensor,
        box_areas: Tensor,
    ) -> None:
        """Add predicted people.

        Args:
            image_ids: ``(B,)`` int64.
            ids: ``(B,)`` int64, unique per person; a repeated one is counted once.
            keypoints: ``(B, K, 2)`` source pixels.
            scores: ``(B, K)``.
            box_scores: ``(B,)``.
            box_areas: ``(B,)`` px^2 of the padded box, the size that NMS uses.
        """
        values = (image_ids, ids, keypoints, scores, box_scores, box_areas)
        for name, value in zip(_COLUMNS, values, strict=True):
            getattr(self, name).append(value.detach())

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Exchange people with the other processes; torchmetrics calls this.

        A process that has none must send columns of the right type and shape all the same.
        """
        if not self.ids:
            K = self.skeleton.num_keypoints
            shapes = {"keypoints": (0, K, 2), "scores": (0, K)}
            for name in _COLUMNS:
                dtype = torch.int64 if name in ("image_ids", "ids") else torch.float32
                empty = torch.empty(shapes.get(name, (0,)), dtype=dtype, device=self.device)
                getattr(self, name).append(empty)
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, float]:
        """Return the defined metrics: ``AP``, ..., and ``body/AP``, ... for every part.

        Raises:
            ValueError: no ground truth was given, or not of a predicted person's image.
        """
        if self._gt is None:
            raise ValueError("OksAP needs `set_ground_truth` before it can compute")
        parts = {"": None, **self.skeleton.parts}
        people = self._people()
        seen = {p["image_id"] for p in people} if self._only_seen else None
        if self._left_out and seen is None:
            seen = {image["id"] for image in self._gt["images"]} - self._left_out
        metrics: dict[str, float] = {}
        self.undefined = {}
        for part, members in parts.items():
            values, reasons = oks.average_precision(
                self._gt,
                people,
                self.skeleton.sigmas,
                keypoints=members,
                body=self.skeleton.parts.get("body"),
                part=part,
                image_ids=seen,
            )
            prefix = f"{part}/" if part else ""
            metrics |= {prefix + name: value for name, value in values.items()}
            self.undefined |= {prefix + name: reason for name, reason in reasons.items()}
        return metrics

    def _people(self) -> list[dict[str, Any]]:
        """Return COCO results: scored, each person once, near duplicates removed."""
        rows = {name: _joined(getattr(self, name)) for name in _COLUMNS}
        if not len(rows["ids"]):
            return []
        _, first = np.unique(rows["ids"], return_index=True)
        rows = {name: values[first] for name, values in rows.items()}
        total = oks.person_scores(rows["scores"], rows["box_scores"], self.score_threshold)
        order = np.argsort(rows["image_ids"], kind="stable")
        starts = np.flatnonzero(np.diff(rows["image_ids"][order])) + 1
        kept: list[int] = []
        for members in np.split(order, starts):  # image by image
            best = oks.nms(
                rows["keypoints"][members],
                total[members],
                rows["box_areas"][members],
                self.skeleton.sigmas,
                self.nms_threshold,
            )
            kept += members[best].tolist()
        points = np.concatenate([rows["keypoints"], rows["scores"][..., None]], axis=-1)
        return [
            {
                "image_id": int(rows["image_ids"][i]),
                "category_id": 1,
                "keypoints": points[i].ravel().tolist(),
                "score": float(total[i]),
            }
            for i in kept
        ]


class PCK(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """Fraction of labeled keypoints that lie within a fraction of the person's size.

    The metric is named after its threshold: ``PCK@0.1``.

    Args:
        threshold: that fraction; the size is what ``update`` gets, the box's longer side.
        skeleton: if given, ``per_keypoint`` holds the fraction of every keypoint too.
    """

    correct: Tensor  # (K,), or () without a skeleton
    total: Tensor
    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out
    per_keypoint: dict[str, float]  # keypoint -> fraction; without those that are never labeled

    def __init__(
        self, threshold: Positive = 0.1, *, skeleton: str | Skeleton | None = None
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.names = (f"PCK@{threshold:g}",)
        self.keypoints = None if skeleton is None else Skeleton.load(skeleton).keypoints
        self.undefined, self.per_keypoint = {}, {}
        zeros = torch.zeros(() if self.keypoints is None else len(self.keypoints)).long()
        self.add_state("correct", default=zeros, dist_reduce_fx="sum")
        self.add_state("total", default=zeros.clone(), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor) -> None:
        """Compare points ``(B, K, 2)`` where ``visible (B, K)``; ``scale (B,)`` in their pixels."""
        error, counts = relative_error(preds, target, visible, scale)
        axes = (0, 1) if self.keypoints is None else (0,)
        self.correct += ((error <= self.threshold) & counts).sum(axes)
        self.total += counts.sum(axes)

    def compute(self) -> dict[str, float]:
        """Return ``PCK@<threshold>`` in 0..1."""
        [name] = self.names
        sums = zip(self.keypoints or (), self.correct.view(-1), self.total.view(-1), strict=False)
        self.per_keypoint = {keypoint: float(c / n) for keypoint, c, n in sums if n > 0}
        self.undefined = {} if self.total.any() else {name: "no keypoint is labeled"}
        return {} if self.undefined else {name: float(self.correct.sum() / self.total.sum())}


class NME(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """Normalized mean error: distance of labeled keypoints as a fraction of the person's size."""

    distance: Tensor
    total: Tensor
    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out

    def __init__(self) -> None:
        super().__init__()
        self.names = ("NME",)
        self.undefined = {}
        self.add_state("distance", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor) -> None:
        """Compare points ``(B, K, 2)`` where ``visible (B, K)``; ``scale (B,)`` in their pixels."""
        error, counts = relative_error(preds, target, visible, scale)
        self.distance += error[counts].sum()
        self.total += counts.sum()

    def compute(self) -> dict[str, float]:
        """Return ``NME``; 0 is perfect."""
        self.undefined = {} if self.total else {"NME": "no keypoint is labeled"}
        return {} if self.undefined else {"NME": float(self.distance / self.total)}


def relative_error(
    preds: Tensor, target: Tensor, visible: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return distances ``(B, K)`` over the person's size, and which of them count.

    Those do whose keypoint is labeled and whose person has a size.
    """
    error = (preds.float() - target.float()).norm(dim=-1) / scale[:, None]
    return error, (visible > 0) & (scale > 0)[:, None]


def _joined(state: list[Tensor] | Tensor) -> NDArray[Any]:
    """Join a list state, which torchmetrics has joined already after a reduction.

    Integers stay as they are, floats become float64.
    """
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.empty(0)
    values = state.cpu()
    return np.asarray(values.double() if values.is_floating_point() else values)
