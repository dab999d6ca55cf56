"""Body-part segmentation: logits of every class at every pixel (Sapiens paper, section 3.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.sample import Batch
from sapiens_lab.losses.segmentation import WeightedCrossEntropy
from sapiens_lab.metrics.segmentation import image_scores
from sapiens_lab.tasks.task import Task, loss_terms
from sapiens_lab.tasks.to_source import labels_to_source, upsample

log = logging.getLogger(__name__)

_NUM_INSPECTED = 200  # label maps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartPrediction:
    """The class of every pixel of a source image."""

    labels: Tensor  # (H, W) uint8, on the model's device


class SegmentationTask(Task):
    """Learn a class for every pixel, measured at the size of the source image.

    Args:
        parts: the class list, by name, path or value.
        loss: called with logits ``(B, C, H, W)`` at the labels' size and labels ``(B, H, W)``.
        metrics: called with class ids ``(H, W)`` of one image, predicted and true.
        flip_test: average the logits with those of the flipped image.
    """

    name = "segmentation"
    hardest: Literal["min", "max"] = "min"

    def __init__(
        self,
        *,
        parts: str | Parts,
        loss: nn.Module,
        metrics: Mapping[str, Metric],
        flip_test: bool = False,
    ) -> None:
        self.parts = Parts.load(parts)
        can_flip = self.parts.flip_indices is not None
        super().__init__(loss=loss, metrics=metrics, flip_test=flip_test and can_flip)

    def setup(self, *, train: Dataset | None, val: Dataset, partial: bool = False) -> None:
        """Check the classes; count them where the loss is to be balanced (``class_weights: auto``).

        Raises:
            ValueError: a dataset has other classes than the task, or none.
        """
        for dataset in (val,) if train is None else (val, train):
            self._check_parts(dataset)
        self._warn_of_absent_classes(val)
        if train is not None:
            self._balance(train)

    def compute_loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Compare logits ``(B, C, h, w)``, brought to the labels' size, with the labels."""
        labels = batch["labels"]
        logits = upsample(output, (labels.shape[-2], labels.shape[-1]))
        return loss_terms(self.loss(logits, labels.long()), "cross_entropy")

    def average_flipped(self, output: Tensor, flipped: Tensor) -> Tensor:
        """Return the mean logits; left and right change places."""
        assert self.parts.flip_indices is not None
        order = torch.as_tensor(self.parts.flip_indices, device=output.device)
        return (output + flipped.flip(-1)[:, order]) / 2

    def predict(self, output: Tensor, batch: Batch) -> list[PartPrediction]:
        """Return the likeliest class of every source pixel."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        return [
            PartPrediction(labels=labels_to_source(logits, meta, size))
            for logits, meta in zip(output, batch.meta, strict=True)
        ]

    def update_metrics(self, predictions: Sequence[PartPrediction], batch: Batch) -> None:
        """Compare class ids at source size."""
        assert batch.gt is not None
        for prediction, gt in zip(predictions, batch.gt, strict=True):
            labels = gt["labels"].to(prediction.labels.device)
            for metric in self.each_metric():
                metric.update(prediction.labels, labels)

    def sample_metrics(
        self, predictions: Sequence[PartPrediction], batch: Batch
    ) -> list[dict[str, float]]:
        """Return mIoU over the classes of each image, and the fraction of its pixels found."""
        assert batch.gt is not None
        rows = zip(predictions, batch.gt, strict=True)
        return [image_scores(p.labels, gt["labels"], self.parts.num_classes) for p, gt in rows]

    def _check_parts(self, dataset: Dataset) -> None:
        theirs = dataset.parts
        if theirs is None:
            raise ValueError(f"{type(dataset).__name__} has no labels (its `parts` is None)")
        if theirs.classes != self.parts.classes:
            raise ValueError(
                f"the dataset has the {theirs.num_classes} classes of {theirs.name!r}, the task "
                f"the {self.parts.num_classes} of {self.parts.name!r}; set both at once with "
                "`parts=`"
            )

    def _warn_of_absent_classes(self, dataset: Dataset) -> None:
        counts = dataset.count_pixels(limit=_NUM_INSPECTED)
        absent = [n for n, c in zip(self.parts.classes, counts.pixels, strict=False) if c == 0]
        if absent:
            log.warning(
                "%d label maps of the evaluation set show no pixel of %s; classes that none shows "
                "have no IoU and do not enter mIoU", counts.num_maps, ", ".join(absent),
            )  # fmt: skip

    def _balance(self, dataset: Dataset) -> None:
        for module in self.loss.modules():
            if isinstance(module, WeightedCrossEntropy) and module.needs_counts:
                counts = dataset.count_pixels().pixels[: self.parts.num_classes]
                weights = module.balance(counts).tolist()
                fractions = counts / max(1, counts.sum())
                rows = zip(self.parts.classes, fractions, weights, strict=True)
                table = "\n".join(f"  {n:<18} {s:>8.3%}  weight {w:.2f}" for n, s, w in rows)
                log.info("classes of the training set, and their weights:\n%s", table)

    def meaning(self) -> dict[str, Any]:
        """Return the names of the classes."""
        return {"parts": list(self.parts.classes)}

    def metadata(self) -> dict[str, Any]:
        """Add the class list."""
        flip_indices = self.parts.flip_indices
        return {
            **super().metadata(),
            "parts": self.parts.name,
            "flip_indices": None if flip_indices is None else flip_indices.tolist(),
            "colors": self.parts.colors.tolist(),
        }
