"""Losses of heatmaps: official ``KeypointMSELoss`` and ``KeypointOHKMMSELoss``.

Both compute in float32 whatever the network's type: differences of heatmaps are small.
"""

from __future__ import annotations

from torch import Tensor, nn

from sapiens_lab.ranges import Count


class HeatmapMSELoss(nn.Module):
    """Mean squared error over all pixels of all keypoints.

    A keypoint of weight 0 adds nothing and still counts in the mean, so a person with few labeled
    keypoints weighs less than one with all.
    """

    def forward(self, preds: Tensor, target: Tensor, target_weight: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, K, h, w)`` under ``target_weight (B, K)``; a scalar.

        Raises:
            ValueError: the heatmaps differ in shape.
        """
        return (target_weight * _mean_squares(preds, target)).mean()


class HeatmapOHKMLoss(nn.Module):
    """Mean squared error over each person's ``topk`` hardest keypoints.

    Online hard keypoint mining: Chen et al., "Cascaded Pyramid Network", CVPR 2018. The sum is
    divided by ``topk`` also where fewer keypoints are labeled.

    Args:
        topk: how many keypoints of a person count; the official recipes of 308 keypoints use 128.
    """

    def __init__(self, topk: Count) -> None:
        super().__init__()
        if topk < 1:
            raise ValueError(f"topk must be at least 1, got {topk}")
        self.topk = topk

    def forward(self, preds: Tensor, target: Tensor, target_weight: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, K, h, w)`` under ``target_weight (B, K)``; a scalar.

        Raises:
            ValueError: the heatmaps differ in shape, or there are fewer than ``topk`` of them.
        """
        if preds.shape[1] < self.topk:
            raise ValueError(
                f"topk={self.topk} of {preds.shape[1]} keypoints; lower topk or use HeatmapMSELoss"
            )
        # The weight scales both maps before they are squared.
        losses = target_weight.square() * _mean_squares(preds, target)
        return losses.topk(self.topk, dim=1).values.mean()


def _mean_squares(preds: Tensor, target: Tensor) -> Tensor:
    """Return every heatmap's mean squared error ``(B, K)``, float32."""
    if preds.shape != target.shape:
        raise ValueError(
            f"predicted heatmaps are {tuple(preds.shape)}, targets {tuple(target.shape)}; "
            "the head's out_channels must equal the number of keypoints"
        )
    return (preds.float() - target.float()).square().mean((-2, -1))
