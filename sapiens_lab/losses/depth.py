"""Losses of depth maps, over the valid pixels only.

Predictions come already upsampled to the target's size; everything is computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sapiens_lab.losses.combine import masked, masked_mean
from sapiens_lab.ranges import Fraction, NonNegative, Positive


class SiLogLoss(nn.Module):
    """Scale-invariant error of the logarithms, of every image, averaged over the batch.

    ``sqrt(mean(d^2) - v mean(d)^2)`` with ``d = log target - log preds``: Eigen et al., "Depth map
    prediction from a single image", NeurIPS 2014; the root and the values are the official ones
    (reference of Sapiens v1, section 4.3). Targets up to ``eps`` do not count: the nearest pixel of
    a relative depth is exactly 0. An image without a valid pixel adds 0 to the mean.

    Args:
        variance_factor: ``v`` in 0..1; 1 forgives any common factor, 0 none.
        eps: predictions are raised to it before the logarithm.
        root_eps: added under the root, whose slope is infinite at a perfect prediction.
        leak: weight of ``mean(max(eps - preds, 0))``. A prediction up to ``eps`` gets no gradient
            from the rest, so a head that starts negative everywhere learns nothing; a small leak
            brings it back. Officially 0.
    """

    def __init__(
        self,
        *,
        variance_factor: Fraction = 0.5,
        eps: Positive = 1e-6,
        root_eps: NonNegative = 1e-12,
        leak: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= variance_factor <= 1:
            raise ValueError(f"variance_factor must be in 0..1, got {variance_factor}")
        if eps <= 0 or root_eps <= 0:
            raise ValueError(f"eps and root_eps must be positive, got {eps} and {root_eps}")
        self.variance_factor, self.eps = variance_factor, eps
        self.root_eps, self.leak = root_eps, leak

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, 1, H, W)`` where ``valid`` (same, bool); a scalar.

        Raises:
            ValueError: the shapes differ.
        """
        preds, target, _ = masked(preds, target, valid)
        counts = target > self.eps  # implies valid
        error = target.clamp(min=self.eps).log() - preds.clamp(min=self.eps).log()
        pixels = counts.sum((1, 2, 3))  # (B,)
        losses = self._root(error.masked_fill(~counts, 0), pixels)
        if self.leak:
            below = (self.eps - preds).relu().masked_fill(~counts, 0).sum((1, 2, 3))
            losses = losses + self.leak * below / pixels.clamp(min=1)
        return losses.mean()

    def _root(self, error: Tensor, pixels: Tensor) -> Tensor:
        """Return every image's loss ``(B,)``; ``error`` is 0 where it does not count."""
        total = pixels.clamp(min=1)
        mean = error.sum((1, 2, 3)) / total
        square = error.square().sum((1, 2, 3)) / total
        # Rounding can make the difference negative where the factor is 1.
        inside = (square - self.variance_factor * mean.square()).clamp(min=0)
        return torch.where(pixels > 0, (inside + self.root_eps).sqrt(), inside)


class DepthL1Loss(nn.Module):
    """Mean absolute error over all valid pixels of the batch, in the target's unit."""

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, 1, H, W)`` where ``valid`` (same, bool); a scalar.

        Raises:
            ValueError: the shapes differ.
        """
        preds, target, valid = masked(preds, target, valid)
        return masked_mean((preds - target).abs(), valid)


class DepthL2Loss(nn.Module):
    """Mean squared error over all valid pixels of the batch, in the target's unit squared.

    Where an image leaves the depth open it asks for the mean of what is possible, which is what a
    root mean squared error rewards; L1 asks for the median.
    """

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` and ``target (B, 1, H, W)`` where ``valid`` (same, bool); a scalar.

        Raises:
            ValueError: the shapes differ.
        """
        preds, target, valid = masked(preds, target, valid)
        return masked_mean((preds - target).square(), valid)


class DepthGradientLoss(nn.Module):
    """Absolute difference of neighbors' differences, at several scales.

    Multi-scale gradient matching (Li and Snavely, MegaDepth, CVPR 2018, section 4.1; also in
    MiDaS). It asks for the right shape where the right place is not known yet: beside an L1 or
    SiLog term it lets a network start from local cues. Not part of the official recipe.

    Args:
        num_scales: every scale looks at half the resolution of the one before.
    """

    def __init__(self, *, num_scales: int = 4) -> None:
        super().__init__()
        if num_scales < 1:
            raise ValueError(f"num_scales={num_scales} must be at least 1")
        self.num_scales = num_scales

    def forward(self, preds: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compare ``preds`` with ``target (B, 1, H, W)`` where ``valid (B, 1, H, W)``; a scalar."""
        preds, target, valid = masked(preds, target, valid)
        difference = preds - target
        total = difference.new_zeros(())
        for scale in range(self.num_scales):
            step = 2**scale
            error, seen = difference[..., ::step, ::step], valid[..., ::step, ::step]
            for dim in (2, 3):
                size = error.shape[dim] - 1
                if size < 1:
                    continue
                change = error.narrow(dim, 1, size) - error.narrow(dim, 0, size)
                both = seen.narrow(dim, 1, size) & seen.narrow(dim, 0, size)
                total = total + masked_mean(change.abs(), both)
        return total / self.num_scales
