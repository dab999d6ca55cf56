"""Heatmap losses (sapiens_v1 reference, section 4.1), computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HeatmapMSELoss(nn.Module):
    """Mean squared error over all heatmap pixels, unlabelled keypoints counting as zero.

    Official ``KeypointMSELoss(use_target_weight=True)``: the weights stay out of the denominator.
    """

    def forward(self, preds: Tensor, target: Tensor, target_weight: Tensor) -> Tensor:
        """Return the scalar loss of heatmaps ``(B, K, h, w)`` under weights ``(B, K)``."""
        error = (preds.float() - target) ** 2
        return (error.mean((-2, -1)) * target_weight).mean()


class HeatmapOHKMLoss(nn.Module):
    """Mean squared error of the ``topk`` worst keypoints of every sample.

    Official ``KeypointOHKMMSELoss`` (online hard keypoint mining; 128 of 308 in Sapiens).

    Raises:
        ValueError: on the first batch, if there are fewer keypoints than ``topk``.
    """

    def __init__(self, topk: int = 128) -> None:
        super().__init__()
        self.topk = topk

    def forward(self, preds: Tensor, target: Tensor, target_weight: Tensor) -> Tensor:
        """Return the scalar loss of heatmaps ``(B, K, h, w)`` under weights ``(B, K)``."""
        num_keypoints = preds.shape[1]
        if self.topk > num_keypoints:
            raise ValueError(
                f"loss.topk is {self.topk}, but the skeleton has {num_keypoints} keypoints only"
            )
        weight = target_weight[..., None, None]
        error = ((preds.float() * weight - target * weight) ** 2).mean((-2, -1))  # (B, K)
        worst = torch.topk(error, self.topk, dim=1).values
        return worst.mean()
