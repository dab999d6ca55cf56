"""Which patches a masked autoencoder masks (He et al., CVPR 2022, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens_lab.models.spec import Described
from sapiens_lab.ranges import Count, Within


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchMask:
    """Which patches of each image are masked; the same number in every image of a batch."""

    ids_keep: Tensor  # (B, n) int64, indices of the visible patches, in the order of the encoder
    ids_restore: Tensor  # (B, N) int64, index of each patch once mask tokens are appended
    mask: Tensor  # (B, N) bool, True where a patch is masked


def mask_by_noise(noise: Tensor, *, ratio: float) -> PatchMask:
    """Keep the ``int(N (1 - ratio))`` patches of the lowest ``noise (B, N)``.

    Equal noise keeps the order of the patches, on every device.

    Raises:
        ValueError: the ratio leaves no patch visible, or is negative.
    """
    total = noise.shape[1]
    count = int(total * (1 - ratio))  # rounded down, as officially (sapiens_v1, section 1.7)
    if not 0 < count <= total:
        raise ValueError(
            f"masking ratio {ratio} keeps {count} of {total} patches; choose one between 0 and 1 "
            "that leaves some to see, or a larger image_size"
        )
    order = noise.argsort(dim=1, stable=True)
    ids_restore = order.argsort(dim=1)
    return PatchMask(ids_keep=order[:, :count], ids_restore=ids_restore, mask=ids_restore >= count)


def block_noise(noise: Tensor, grid: tuple[int, int], *, block_size: int, jitter: Tensor) -> Tensor:
    """Return noise ``(B, rows, columns)`` that sorts whole blocks one after the other.

    Args:
        noise: ``(B, ceil(rows / b), ceil(columns / b))``, one value a block.
        grid: (rows, columns) of patches; blocks at the right and at the bottom are cut.
        block_size: side ``b`` of a block, in patches.
        jitter: ``(B, rows, columns)`` in 0..1, the order of the patches within a block.
    """
    rows, columns = grid
    # Ranks instead of the noise itself: jitter below 1/2 then never reaches the next block.
    rank = noise.flatten(1).argsort(dim=1, stable=True).argsort(dim=1).view_as(noise)
    rank = rank.repeat_interleave(block_size, 1).repeat_interleave(block_size, 2)
    return rank[:, :rows, :columns] + jitter / 2


class RandomMasking(Described):
    """Draw masks from torch's generator.

    Args:
        ratio: fraction of the patches to mask, or the (lowest, highest) of a range from which every
            batch draws one.
        block_size: side of the squares that are masked together, in patches; 1 masks each patch on
            its own, as Sapiens does.

    Raises:
        ValueError: a ratio does not lie between 0 and 1, or a block has no side.
    """

    def __init__(self, ratio: Within | Sequence[Within] = 0.75, *, block_size: Count = 1) -> None:
        low, high = (ratio, ratio) if isinstance(ratio, int | float) else ratio
        if not 0 < low <= high < 1:
            raise ValueError(
                f"masking ratio {ratio}: it is a fraction of the patches, between 0 and 1"
            )
        if block_size < 1:
            raise ValueError(f"masking block_size {block_size}: at least 1 patch")
        self.low, self.high, self.block_size = float(low), float(high), block_size

    def fix(self, ratio: float) -> None:
        """Mask this fraction from now on.

        Raises:
            ValueError: it does not lie between 0 and 1.
        """
        self.low = self.high = RandomMasking(ratio).low

    def __call__(
        self,
        batch_size: int,
        grid: tuple[int, int],
        device: torch.device,
        *,
        generator: torch.Generator | None = None,
        ratio: float | None = None,
    ) -> PatchMask:
        """Return the mask of ``batch_size`` images of (rows, columns) patches.

        Args:
            batch_size: ``B``.
            grid: (rows, columns) of patches.
            device: of the result.
            generator: to draw from, on its own device; a seeded one on the CPU gives
                the same masks on every device. Torch's own if not given.
            ratio: fraction to mask this time, in place of the one given at construction.

        Raises:
            ValueError: the ratio leaves no patch visible.
        """
        source = device if generator is None else generator.device
        if ratio is None:
            ratio = self._ratio(generator)
        rows, columns = grid
        b = self.block_size
        shape = (batch_size, -(-rows // b), -(-columns // b))
        noise = torch.rand(shape, device=source, generator=generator)
        if b > 1:
            jitter = torch.rand((batch_size, rows, columns), device=source, generator=generator)
            noise = block_noise(noise, grid, block_size=b, jitter=jitter)
        return mask_by_noise(noise.flatten(1).to(device), ratio=ratio)

    def _ratio(self, generator: torch.Generator | None) -> float:
        if self.high == self.low:
            return self.low
        device = "cpu" if generator is None else generator.device
        drawn = float(torch.rand((), device=device, generator=generator))
        return self.low + (self.high - self.low) * drawn
