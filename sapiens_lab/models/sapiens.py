"""A whole model: normalize, encode, decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sapiens_lab.models.vit import ViT

# ImageNet statistics in pixel values in [0, 255], RGB: what all Sapiens models were trained with.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class Normalized(nn.Module):
    """A model that takes pixel values: the normalization belongs to the weights.

    Args:
        mean: of the channels, RGB, pixel values.
        std: of the channels, RGB, pixel values.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def normalize(self, image: Tensor) -> Tensor:
        """Return ``(image - mean) / std`` for an image in 0..255 of any number type."""
        return (image.to(self.mean.dtype) - self.mean) / self.std


class Sapiens(Normalized):
    """Image with pixel values in [0, 255] -> dense output.

    Args:
        backbone: encoder with ``embed_dim`` that maps ``(B, 3, H, W)`` to ``(B, D, h, w)``.
        head: makes the decoder, given ``D``.
        mean: of the channels, RGB, pixel values.
        std: of the channels, RGB, pixel values.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        head: Callable[[int], nn.Module],
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__(mean, std)
        self.backbone = backbone
        embed_dim = backbone.embed_dim
        assert isinstance(embed_dim, int)
        self.head = head(embed_dim)

    def features(self, image: Tensor, layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """Return the encoder's maps ``(B, D, h, w)`` after some blocks, without the final norm.

        Args:
            image: ``(B, 3, H, W)`` in 0..255, RGB.
            layers: numbers of the blocks; negative ones count from the end.

        Raises:
            ValueError: the encoder does not give the features of its blocks.
        """
        if not isinstance(self.backbone, ViT):
            raise ValueError(f"{type(self.backbone).__name__} gives its last features only")
        return self.backbone.features(self.normalize(image), list(layers))

    def forward(self, image: Tensor) -> Any:
        """Return the head's output for images ``(B, 3, H, W)`` in 0..255, RGB.

        It is ``(B, C, h, w)``, or a dictionary of such where there are several heads.
        """
        return self.head(self.backbone(self.normalize(image)))
