"""A whole model: normalize, encode, head."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.models.heads import factory_spec
from sapiens_lab.models.spec import Described, HasSpec, Spec

log = logging.getLogger(__name__)

# ImageNet statistics of pixel values in [0, 255], RGB: those of all Sapiens models.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


_MAX_ENLARGED = 4  # pixels of an image over those that the positional embedding knows
_MAX_REDUCED = 4  # the reverse, without a warning


class Normalized(Described, nn.Module):
    """A model that takes pixel values: the normalization belongs to the weights.

    Args:
        mean: per channel, RGB, of pixel values in [0, 255].
        std: per channel, RGB, of pixel values in [0, 255].

    Raises:
        ValueError: these are not three numbers each, or a standard deviation is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean={mean}, std={std}: three numbers each, std above 0")
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def normalize(self, image: Tensor) -> Tensor:
        """Return ``(image - mean) / std`` for pixel values in [0, 255] of any number type."""
        return (image.to(self.mean.dtype) - self.mean) / self.std


@cache
def _warn_of_small(size: tuple[int, int], trained: tuple[int, int]) -> None:
    """Warn once of each size."""
    log.warning(
        "images of %dx%d pixels are far smaller than the %dx%d of this model, which makes its "
        "output coarse and inaccurate. Enlarge them; for other sizes "
        "load_model(..., image_size=(height, width))",
        *size,
        *trained,
    )  # fmt: skip


class Sapiens(Normalized):
    """Image -> dense output.

    Args:
        backbone: encoder, ``(B, 3, H, W)`` to ``(B, D, h, w)``.
        head: makes the head, given ``D``.
        mean: per channel, RGB, of pixel values in [0, 255].
        std: per channel, RGB, of pixel values in [0, 255].
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        head: Callable[[int], nn.Module],
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__(mean, std)
        self.backbone = backbone
        self.head = head(backbone.embed_dim)

    def features(self, image: Tensor, layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """Return the encoder's maps ``(B, D, h, w)`` after some blocks, without the final norm.

        Args:
            image: ``(B, 3, H, W)``, pixel values in [0, 255], RGB.
            layers: indices of the blocks; negative ones count from the end.

        Raises:
            ValueError: the encoder does not give the features of its blocks.
        """
        return self.backbone.features(self.normalize(image), list(layers))

    def forward(self, image: Tensor) -> Any:
        """Return the head's output for images ``(B, 3, H, W)``, pixel values in [0, 255], RGB.

        It is ``(B, C, h, w)``, or a dictionary of such where there are several heads.

        Raises:
            ValueError: the images have over four times the pixels that the model was built for.
        """
        height, width = self.backbone.image_size
        if _MAX_REDUCED * image.shape[-2] * image.shape[-1] < height * width:
            _warn_of_small((image.shape[-2], image.shape[-1]), (height, width))
        if image.shape[-2] * image.shape[-1] > _MAX_ENLARGED * height * width:
            raise ValueError(
                f"images of {image.shape[-2]}x{image.shape[-1]} pixels are far larger than the "
                f"{height}x{width} of this model, which would be slow and wrong. Crop people or "
                "resize; for other sizes load_model(..., image_size=(height, width))"
            )
        return self.head(self.backbone(self.normalize(image)))

    def arguments(self) -> Spec:
        """Return the arguments; a head describes itself even where a lambda made it."""
        described = {"head": factory_spec(self.head)} if isinstance(self.head, HasSpec) else {}
        return super().arguments() | described
