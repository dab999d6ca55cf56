"""Monocular depth of people: relative within the crop, or metric (Sapiens paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.data.sample import Batch
from sapiens_lab.metrics.depth import DepthErrors
from sapiens_lab.tasks.task import Task, loss_terms
from sapiens_lab.tasks.to_source import to_source, upsample


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthPrediction:
    """The depth of every pixel of a source image."""

    depth: Tensor  # (H, W) float32, larger is farther; 0..1 if relative, meters if metric


class DepthTask(Task):
    """Learn the depth of the person's pixels.

    Args:
        loss: called with depth ``(B, 1, H, W)``, its target and where that is valid.
        metrics: called with depth ``(H, W)`` of one image, its target and where that is valid.
        kind: ``relative`` learns depth scaled to 0 (nearest) .. 1 (farthest) over the person,
            separately in every crop; ``metric`` learns meters.
        flip_test: average with the depth of the flipped image.
    """

    name = "depth"

    def __init__(
        self,
        *,
        loss: nn.Module,
        metrics: Mapping[str, Metric],
        kind: Literal["relative", "metric"] = "relative",
        flip_test: bool = False,
    ) -> None:
        if kind not in ("relative", "metric"):
            raise ValueError(f"depth.kind={kind!r}: choose relative or metric")
        super().__init__(loss=loss, metrics=metrics, flip_test=flip_test)
        self.kind = kind

    def compute_loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Compare depth ``(B, 1, h, w)``, brought to the target's size, with the target."""
        valid = batch["depth_valid"]
        target = self._target(batch["depth"], valid)
        preds = upsample(output, (target.shape[-2], target.shape[-1]))
        return loss_terms(self.loss(preds, target, valid), "depth")

    def average_flipped(self, output: Tensor, flipped: Tensor) -> Tensor:
        """Return the mean depth."""
        return (output + flipped.flip(-1)) / 2

    def predict(self, output: Tensor, batch: Batch) -> list[DepthPrediction]:
        """Return the depth of every source pixel."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        return [
            DepthPrediction(depth=to_source(depth.float(), meta, size)[0])
            for depth, meta in zip(output, batch.meta, strict=True)
        ]

    def update_metrics(self, predictions: Sequence[DepthPrediction], batch: Batch) -> None:
        """Compare with the target at source size."""
        assert batch.gt is not None
        for prediction, gt in zip(predictions, batch.gt, strict=True):
            depth, valid = (gt[k].to(prediction.depth.device) for k in ("depth", "depth_valid"))
            target = self._target(depth[None], valid[None])[0, 0]
            for metric in self.each_metric():
                metric.update(prediction.depth, target, valid[0])

    def sample_metrics(
        self, predictions: Sequence[DepthPrediction], batch: Batch
    ) -> list[dict[str, float]]:
        """Return the errors of each image after each alignment of the metrics."""
        assert batch.gt is not None
        measures = [metric for metric in self.each_metric() if isinstance(metric, DepthErrors)]
        rows: list[dict[str, float]] = []
        for prediction, gt in zip(predictions, batch.gt, strict=True):
            depth, valid = (gt[k].to(prediction.depth.device) for k in ("depth", "depth_valid"))
            target = self._target(depth[None], valid[None])[0, 0]
            each = [metric.of_image(prediction.depth, target, valid[0]) for metric in measures]
            rows.append({name: value for values in each for name, value in values.items()})
        return rows

    def meaning(self) -> dict[str, Any]:
        """Return the kind of depth."""
        return {"depth": self.kind}

    def _target(self, depth: Tensor, valid: Tensor) -> Tensor:
        return relative_depth(depth, valid) if self.kind == "relative" else depth


def relative_depth(depth: Tensor, valid: Tensor) -> Tensor:
    """Scale depth ``(B, 1, H, W)`` to 0..1 between the nearest and the farthest valid pixel.

    The official target (``GenerateDepthTarget``), with two faults not repeated: a crop whose valid
    pixels all have one depth gets 0, not meters; invalid pixels get 0, not a sentinel.
    """
    flat, seen = depth.float().flatten(1), valid.flatten(1)
    known = seen & flat.isfinite()  # the rest stays as it is: losses and metrics leave it out
    near = flat.masked_fill(~known, torch.inf).amin(1)
    far = flat.masked_fill(~known, -torch.inf).amax(1)
    extent = (far - near).where(far > near, torch.ones_like(far))
    scaled = (flat - near[:, None]) / extent[:, None]
    return scaled.where(seen, torch.zeros_like(scaled)).view_as(depth)
