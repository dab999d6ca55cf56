"""Losses of surface normals, over the valid pixels of the whole batch.

The cosine teaches the angle, the absolute error of the raw output the unit length (reference of
Sapiens v1, section 4.4). Predictions come already upsampled to the target's size, and raw: nothing
normalizes them before. Everything is computed in float32.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_lab.losses.combine import masked, masked_mean

# Official lower bound of a length; it also bounds the gradient at a prediction of zero.
_SHORTEST = 1e-6


class NormalCosineLoss(nn.Module):
    """One minus the cosine of the angle between prediction and target; both are normalized."""

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, 3, H, W)`` where ``valid (B, 1, H, W)``; a scalar.

        Raises:
            ValueError: the shapes differ.
        """
        preds, target, valid = masked(preds, target, valid)
        preds = F.normalize(preds, dim=1, eps=_SHORTEST)
        target = F.normalize(target, dim=1, eps=_SHORTEST)
        return masked_mean(1 - (preds * target).sum(1, keepdim=True), valid)


class NormalL1Loss(nn.Module):
    """Absolute error of the raw prediction, *summed* over x, y and z: three times the mean."""

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, 3, H, W)`` where ``valid (B, 1, H, W)``; a scalar.

        Raises:
            ValueError: the shapes differ.
        """
        preds, target, valid = masked(preds, target, valid)
        return masked_mean((preds - target).abs(), valid)
