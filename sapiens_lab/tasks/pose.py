"""Top-down 2D pose: one person in, one heatmap per keypoint out (Sapiens paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.sample import Batch, Meta
from sapiens_lab.heatmaps import HeatmapCodec, flip_heatmaps
from sapiens_lab.metrics.pose import OksAP, relative_error
from sapiens_lab.ranges import Positive
from sapiens_lab.tasks.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosePrediction:
    """The keypoints of one person."""

    keypoints: NDArray[np.float32]  # (K, 2) xy, source pixels
    scores: NDArray[np.float32]  # (K,) height of the heatmap's peak, about 0..1


class PoseTask(Task):
    """Learn heatmaps, read keypoints off them, measure them in the source image.

    Args:
        skeleton: the keypoint set, by name, path or value.
        loss: called with predicted and true heatmaps ``(B, K, h, w)`` and weights ``(B, K)``.
        metrics: ``OksAP``, or metrics that compare points (``PCK``, ``NME``).
        sigma: standard deviation of the target's Gaussian in heatmap pixels. ``None`` keeps the
            official proportion, 6 on maps of 256 rows, but not less than 1.5.
        flip_test: average the heatmaps with those of the flipped image (official: yes).
    """

    name = "pose"

    def __init__(
        self,
        *,
        skeleton: str | Skeleton,
        loss: nn.Module,
        metrics: Mapping[str, Metric],
        sigma: Positive | None = None,
        flip_test: bool = True,
    ) -> None:
        self.skeleton = Skeleton.load(skeleton)
        can_flip = self.skeleton.flip_indices is not None
        super().__init__(loss=loss, metrics=metrics, flip_test=flip_test and can_flip)
        self.sigma = sigma

    def setup(self, *, train: Dataset | None, val: Dataset, partial: bool = False) -> None:
        """Hand the annotated people to the AP metric.

        Raises:
            ValueError: a dataset has another skeleton than the task, or none.
        """
        for dataset in (val,) if train is None else (val, train):
            self._check_skeleton(dataset)
        for metric in self.each_metric():
            if isinstance(metric, OksAP):
                metric.set_ground_truth(val.ground_truth(), only_seen=partial)
        self._image_id = val.image_id

    def leave_out(self, indices: Sequence[int]) -> None:
        """Leave the images of these people out of the ground truth."""
        image_ids = {self._image_id(index) for index in indices}
        for metric in self.each_metric():
            if isinstance(metric, OksAP):
                metric.leave_out(image_ids)

    def compute_loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Compare heatmaps ``(B, K, h, w)`` with those of the labeled keypoints."""
        codec = self._codec(batch, output)
        target, weight = codec.encode(batch["keypoints"], batch["keypoints_visible"])
        return {"heatmap": self.loss(output, target, weight)}

    def average_flipped(self, output: Tensor, flipped: Tensor) -> Tensor:
        """Return the mean heatmap; left and right change places."""
        assert self.skeleton.flip_indices is not None
        return (output + flip_heatmaps(flipped, self.skeleton.flip_indices)) / 2

    def predict(self, output: Tensor, batch: Batch) -> list[PosePrediction]:
        """Find every heatmap's peak and move it to the source image."""
        xy, scores = (t.cpu().numpy() for t in self._codec(batch, output).decode(output))
        return [
            PosePrediction(keypoints=meta.to_source(xy[i]).astype(np.float32), scores=scores[i])
            for i, meta in enumerate(batch.meta)
        ]

    def update_metrics(self, predictions: Sequence[PosePrediction], batch: Batch) -> None:
        """Compare in source pixels: people for AP, points for the others."""
        for metric in self.each_metric():
            if isinstance(metric, OksAP):
                _compare_people(metric, predictions, batch)
            else:
                _compare_points(metric, predictions, batch)

    def sample_metrics(
        self, predictions: Sequence[PosePrediction], batch: Batch
    ) -> list[dict[str, float]]:
        """Return the mean error over the person's size, its largest, and how many points count."""
        rows = _points(predictions, batch)
        error, counts = relative_error(**rows)
        return [
            {
                "NME": float(e[c].mean()),
                "largest_error": float(e[c].max()),
                "num_keypoints": int(c.sum()),
            }
            if c.any()
            else {}
            for e, c in zip(error.cpu(), counts.cpu(), strict=True)
        ]

    def meaning(self) -> dict[str, Any]:
        """Return the names of the keypoints."""
        return {"skeleton": list(self.skeleton.keypoints)}

    def _check_skeleton(self, dataset: Dataset) -> None:
        theirs = dataset.skeleton
        if theirs is None:
            raise ValueError(f"{type(dataset).__name__} has no keypoints (its `skeleton` is None)")
        if theirs.keypoints != self.skeleton.keypoints:
            raise ValueError(
                f"the dataset has the {theirs.num_keypoints} keypoints of {theirs.name!r}, the "
                f"task the {self.skeleton.num_keypoints} of {self.skeleton.name!r}; set both at "
                "once with `skeleton=`"
            )

    def metadata(self) -> dict[str, Any]:
        """Add the skeleton and how heatmaps are decoded."""
        flip_indices = self.skeleton.flip_indices
        return {
            **super().metadata(),
            "skeleton": self.skeleton.name,
            "flip_indices": None if flip_indices is None else flip_indices.tolist(),
            "edges": [list(edge) for edge in self.skeleton.edges],
            "sigmas": self.skeleton.sigmas.tolist(),
            "aliases": {name: list(others) for name, others in self.skeleton.aliases.items()},
            "decode": "udp_dark",
        }

    def _codec(self, batch: Batch, output: Tensor) -> HeatmapCodec:
        height, width = batch.image.shape[-2:]
        h, w = output.shape[-2:]
        sigma = self.sigma or max(1.5, 6 * h / 256)
        return HeatmapCodec((height, width), heatmap_size=(h, w), sigma=sigma)


def _compare_people(metric: Metric, predictions: Sequence[PosePrediction], batch: Batch) -> None:
    size = batch.image.shape[-2:]
    rows: dict[str, list[Any]] = {
        "image_ids": [meta.image_id for meta in batch.meta],
        "ids": [meta.id for meta in batch.meta],
        "keypoints": [p.keypoints for p in predictions],
        "scores": [p.scores for p in predictions],
        "box_scores": [meta.bbox_score for meta in batch.meta],
        "box_areas": [_crop_area(meta, size) for meta in batch.meta],
    }
    metric.update(**{name: _tensor(values, batch) for name, values in rows.items()})


def _compare_points(metric: Metric, predictions: Sequence[PosePrediction], batch: Batch) -> None:
    metric.update(**_points(predictions, batch))


def _points(predictions: Sequence[PosePrediction], batch: Batch) -> dict[str, Tensor]:
    """Return points, their ground truth, visibility and the people's sizes, in source pixels."""
    target = [
        meta.to_source(xy).astype(np.float32)
        for meta, xy in zip(batch.meta, batch["keypoints"].cpu().numpy(), strict=True)
    ]
    sizes = [np.ptp(meta.bbox.reshape(2, 2), axis=0).max() for meta in batch.meta]
    return {
        "preds": _tensor([p.keypoints for p in predictions], batch),
        "target": _tensor(target, batch),
        "visible": batch["keypoints_visible"],
        "scale": _tensor(sizes, batch),
    }


def _tensor(rows: Sequence[Any], batch: Batch) -> Tensor:
    array = np.stack(rows)
    if array.dtype == np.float64:
        array = array.astype(np.float32)  # not every device knows float64
    return torch.as_tensor(array, device=batch.image.device)


def _crop_area(meta: Meta, size: Sequence[int]) -> float:
    """Area in source pixels of the crop; the official OKS-NMS measures people by it."""
    return float((size[0] - 1) * (size[1] - 1) / abs(np.linalg.det(meta.matrix[:, :2])))
