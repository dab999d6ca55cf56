"""Masked pretraining: reconstruct masked patches (Sapiens paper, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sapiens_lab.data.sample import Batch
from sapiens_lab.losses.pretrain import patch_statistics
from sapiens_lab.models.mae import Reconstruction, patchify, unpatchify
from sapiens_lab.models.sapiens import MEAN, STD
from sapiens_lab.tasks.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReconstructionImages:
    """A reconstruction to look at; all in pixel values in [0, 255], input frame."""

    masked: Tensor  # (3, H, W) with the masked patches gray
    reconstructed: Tensor  # (3, H, W) every patch as predicted
    pasted: Tensor  # (3, H, W) with the masked patches as predicted, the others as they are


class PretrainTask(Task):
    """Learn to predict masked patches; the loss is the only metric.

    Args:
        loss: called with predicted patches, true patches and which of them were masked.
        normalized: the loss compares patches by their own contrast, so images of predictions
            need the true patches' statistics, as the paper's figures do.
    """

    name = "pretrain"

    def __init__(self, *, loss: nn.Module, normalized: bool = True) -> None:
        super().__init__(loss=loss, metrics={})
        self.normalized = normalized

    def compute_loss(self, output: Reconstruction, batch: Batch) -> dict[str, Tensor]:
        """Compare predicted with true pixels where they were masked."""
        patches = patchify(output.image, patch_size_of(output))
        return {"reconstruction": self.loss(output.patches, patches, output.mask)}

    def predict(self, output: Reconstruction, batch: Batch) -> list[ReconstructionImages]:
        """Return the masked and the reconstructed images."""
        return reconstruct(output, normalized=self.normalized)

    def update_metrics(self, predictions: Sequence[Any], batch: Batch) -> None:
        """Measure nothing."""


def patch_size_of(output: Reconstruction) -> int:
    """Return the side ``P`` of a patch."""
    return math.isqrt(output.patches.shape[-1] // 3)


def reconstruct(output: Reconstruction, *, normalized: bool = True) -> list[ReconstructionImages]:
    """Turn an output into images.

    Args:
        output: of a ``MaskedAutoencoder``.
        normalized: predictions have mean 0 and variance 1 in every patch.
    """
    size = patch_size_of(output)
    grid = (output.image.shape[-2] // size, output.image.shape[-1] // size)
    true = patchify(output.image, size)
    predicted = output.patches.float()
    if normalized:
        mean, std = patch_statistics(true)
        predicted = predicted * std + mean
    masked = output.mask[..., None]
    layers = (
        torch.where(masked, torch.zeros_like(true), true),
        predicted,
        torch.where(masked, predicted, true),
    )
    scale = [output.image.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD)]
    images = [
        (unpatchify(layer, grid) * scale[1] + scale[0]).clamp(0, 255).round().to(torch.uint8)
        for layer in layers
    ]
    return [
        ReconstructionImages(masked=a, reconstructed=b, pasted=c)
        for a, b, c in zip(*images, strict=True)
    ]
