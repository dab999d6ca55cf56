"""Which patches a masked autoencoder hides (He et al., CVPR 2022, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """The same number of hidden patches in every picture of a batch."""

    kept: Tensor  # (B, n) int64, places of the visible patches, in the order of the encoder
    restore: Tensor  # (B, N) int64, where each place's token is once the hidden ones are appended
    hidden: Tensor  # (B, N) bool


def mask_by_noise(noise: Tensor, *, ratio: float) -> Mask:
    """Keep the ``int(N (1 - ratio))`` patches of the lowest ``noise (B, N)``."""
    count = int(noise.shape[1] * (1 - ratio))
    order = noise.argsort(dim=1)
    restore = order.argsort(dim=1)
    return Mask(kept=order[:, :count], restore=restore, hidden=restore >= count)


class RandomMasking:
    """Draw masks from torch's generator.

    Args:
        ratio: share of the patches to hide, or the (lowest, highest) of a range from which every
            batch draws one.
        block_size: side of the squares that are hidden together, in patches; 1 hides each patch on
            its own, as Sapiens does. Larger blocks leave larger holes to fill.

    Raises:
        ValueError: a ratio does not lie between 0 and 1, or a block has no side.
    """

    def __init__(self, ratio: float | Sequence[float] = 0.75, *, block_size: int = 1) -> None:
        low, high = (ratio, ratio) if isinstance(ratio, int | float) else ratio
        if not 0 < low <= high < 1:
            raise ValueError(
                f"masking ratio {ratio}: it is a share of the patches, between 0 and 1"
            )
        if block_size < 1:
            raise ValueError(f"masking block_size {block_size}: at least 1 patch")
        self.low, self.high, self.block_size = float(low), float(high), block_size

    def __call__(self, batch_size: int, grid: tuple[int, int], device: torch.device) -> Mask:
        """Return the mask of ``batch_size`` pictures of (rows, columns) patches."""
        ratio = self.low
        if self.high > self.low:
            ratio += (self.high - self.low) * float(torch.rand(()))
        rows, columns = grid
        b = self.block_size
        noise = torch.rand(batch_size, -(-rows // b), -(-columns // b), device=device)
        if b > 1:  # a block shares its noise; a tie within it is broken by a little of its own
            noise = noise.repeat_interleave(b, 1).repeat_interleave(b, 2)[:, :rows, :columns]
            noise = noise + 1e-4 * torch.rand(batch_size, rows, columns, device=device)
        return mask_by_noise(noise.flatten(1), ratio=ratio)
