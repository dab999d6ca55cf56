"""What the rest of the package asks of an encoder, so that any encoder can stand in.

A backbone of your own needs ``embed_dim``, ``stride``, ``image_size`` and ``forward``. With
``block_names`` it also trains with layer decay, partly frozen or with LoRA; with ``embed`` and
``encode`` it can be pretrained by masking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sapiens_lab.models.spec import Described


class Backbone(Described, nn.Module):
    """Encoder: normalized images ``(B, 3, H, W)`` -> feature maps ``(B, D, h, w)``."""

    embed_dim: int  # D
    stride: int  # input pixels per feature: h = H / stride
    image_size: tuple[int, int]  # (height, width) for which it was built
    num_prefix_tokens: int = 0  # tokens that belong to no patch, before the others
    block_names: Sequence[str] = ()  # submodules in the order in which they run
    activation_checkpointing: bool = False  # whether blocks are recomputed in the backward pass

    def forward(self, image: Tensor) -> Tensor:
        """Return the feature map ``(B, D, H / stride, W / stride)``."""
        grid = self.grid_of((image.shape[-2], image.shape[-1]))
        return self.to_map(self.encode(self.embed(image)), grid)

    def embed(self, image: Tensor) -> Tensor:
        """Return tokens ``(B, N, D)`` that know their position, those of patches last.

        Raises:
            ValueError: this encoder does not work on tokens.
        """
        raise self._without("tokens, so it cannot be pretrained by masking; use backbone=tiny")

    def encode(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(B, n, D)`` after all blocks and the final norm; any subset may enter.

        Raises:
            ValueError: this encoder does not work on tokens.
        """
        raise self._without("tokens, so it cannot be pretrained by masking; use backbone=tiny")

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return feature maps ``(B, D, h, w)`` after the named blocks, without the final norm.

        Args:
            image: normalized ``(B, 3, H, W)``.
            layers: indices of blocks; negative ones count from the end.

        Raises:
            ValueError: this encoder gives its last feature map only.
        """
        raise self._without("intermediate features; call it for the last feature map")

    def fit_state(
        self, state: Mapping[str, Tensor], grid: tuple[int, int] | None
    ) -> dict[str, Tensor]:
        """Return the tensors of an encoder like this one, fitted to the input size of this one.

        Args:
            state: tensors by this module's names.
            grid: (rows, columns) of patches that they were made for; ``None`` if unknown.
        """
        return dict(state)

    @property
    def grid(self) -> tuple[int, int]:
        """The (rows, columns) of the feature map of an image of ``image_size``."""
        return self.grid_of(self.image_size)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks in the order in which they run."""
        return [self.get_submodule(name) for name in self.block_names]

    def parameter_layers(self) -> dict[str, int]:
        """Return the layer of each parameter: 0 embeddings, 1..L blocks, L + 1 what follows.

        Parameters between two blocks, such as the downsampling of a hierarchical encoder, belong to
        the block before them. Without named blocks, everything is layer 1.
        """
        layers, current = {}, 0
        names = [name for name, _ in self.named_parameters()]
        starts = {f"{block}.": i + 1 for i, block in enumerate(self.block_names)}
        last = max((i for i, n in enumerate(names) if n.startswith(tuple(starts))), default=-1)
        for i, name in enumerate(names):
            inside = (layer for start, layer in starts.items() if name.startswith(start))
            current = next(inside, current) if i <= last else len(starts) + 1
            layers[name] = current
        return layers

    def grid_of(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the (rows, columns) of the feature map of an image.

        Raises:
            ValueError: the size is not a multiple of the stride.
        """
        height, width = image_size
        if height % self.stride or width % self.stride:
            raise ValueError(
                f"an image of {height}x{width} pixels does not divide into patches of "
                f"{self.stride}; choose multiples of it for image_size"
            )
        return height // self.stride, width // self.stride

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Drop the prefix tokens and return the others as a map ``(B, D, rows, columns)``."""
        patches = tokens[:, self.num_prefix_tokens :]
        return patches.transpose(1, 2).reshape(len(patches), -1, *grid)

    def train(self, mode: bool = True) -> Any:
        """Switch to training mode, except for frozen blocks: dropout must not disturb them."""
        super().train(mode)
        for block in self.blocks:
            if not any(p.requires_grad for p in block.parameters()):
                block.eval()
        return self

    def _without(self, what: str) -> ValueError:
        return ValueError(f"{type(self).__name__} has no {what}")
