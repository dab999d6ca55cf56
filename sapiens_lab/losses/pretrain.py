"""The loss of masked pretraining: pixels of masked patches, each patch by its own contrast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPS = 1e-6  # official; a flat patch has no variance


class MaskedPixelLoss(nn.Module):
    """Mean squared error over the masked patches (He et al., CVPR 2022; sapiens_v1, section 1.7).

    Args:
        normalize: compare with every patch scaled to mean 0 and variance 1 (official: yes).
    """

    def __init__(self, *, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(self, preds: Tensor, patches: Tensor, mask: Tensor) -> Tensor:
        """Compare predicted with true ``patches (B, N, V)`` where ``mask (B, N)``; a scalar."""
        target = normalize_patches(patches) if self.normalize else patches.float()
        errors = (preds.float() - target).square().mean(-1)
        return (errors * mask).sum() / mask.sum().clamp(min=1)


def normalize_patches(patches: Tensor) -> Tensor:
    """Scale each of ``(B, N, V)`` to mean 0 and (unbiased, as officially) variance 1."""
    mean, std = patch_statistics(patches)
    return (patches.float() - mean) / std


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation ``(B, N, 1)`` of patches ``(B, N, V)``."""
    variance, mean = torch.var_mean(patches.float(), dim=-1, keepdim=True)
    return mean, (variance + _EPS).sqrt()
