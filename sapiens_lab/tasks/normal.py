"""Surface normals of people, in the camera's frame (Sapiens paper, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sapiens_lab.data.sample import Batch
from sapiens_lab.metrics.normal import angles_deg
from sapiens_lab.tasks.task import Task, loss_terms
from sapiens_lab.tasks.to_source import to_source, upsample


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalPrediction:
    """The direction of the surface at every pixel of a source image."""

    normal: Tensor  # (3, H, W) float32 of unit length: x right, y down, z away from the viewer


class NormalTask(Task):
    """Learn unit normals of the person's pixels.

    The loss is called with vectors ``(B, 3, H, W)``, their target and where that is valid; metrics
    with the same of one image.
    """

    name = "normal"

    def compute_loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Compare vectors ``(B, 3, h, w)``, brought to the target's size, with the target."""
        target = batch["normal"]
        preds = upsample(output, (target.shape[-2], target.shape[-1]))
        return loss_terms(self.loss(preds, target, batch["normal_valid"]), "normal")

    def average_flipped(self, output: Tensor, flipped: Tensor) -> Tensor:
        """Return the mean vector; under a horizontal flip x points the other way."""
        back = flipped.flip(-1) * flipped.new_tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
        return (output + back) / 2

    def predict(self, output: Tensor, batch: Batch) -> list[NormalPrediction]:
        """Return the unit normal of every source pixel."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        return [
            NormalPrediction(normal=F.normalize(to_source(vectors.float(), meta, size), dim=0))
            for vectors, meta in zip(output, batch.meta, strict=True)
        ]

    def update_metrics(self, predictions: Sequence[NormalPrediction], batch: Batch) -> None:
        """Compare with the target at source size."""
        assert batch.gt is not None
        for prediction, gt in zip(predictions, batch.gt, strict=True):
            preds = prediction.normal
            target, valid = (gt[k].to(preds.device) for k in ("normal", "normal_valid"))
            for metric in self.each_metric():
                metric.update(preds, target, valid[0])

    def sample_metrics(
        self, predictions: Sequence[NormalPrediction], batch: Batch
    ) -> list[dict[str, float]]:
        """Return the mean angle of each image [degrees]."""
        assert batch.gt is not None
        rows: list[dict[str, float]] = []
        for prediction, gt in zip(predictions, batch.gt, strict=True):
            preds = prediction.normal
            target, valid = (gt[k].to(preds.device) for k in ("normal", "normal_valid"))
            mask = valid[0] & target.isfinite().all(0)
            angles = angles_deg(preds.movedim(0, -1)[mask], target.movedim(0, -1)[mask])
            rows.append({"mean_angular_error": float(angles.mean())} if len(angles) else {})
        return rows
