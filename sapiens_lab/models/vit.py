"""The vision transformer of Sapiens: a plain pre-norm ViT (Dosovitskiy et al., 2021).

Sapiens (Khirodkar et al., ECCV 2024, section 3.1) scales it in width and depth and runs it at
1024x1024 with patches of 16. Its fine-tuned models have no class token and a rectangular grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.models.pos_embed import grid_of_patches, resize_pos_embed, sincos_pos_embed
from sapiens_lab.ranges import BelowOne, ImageSize, Whole

Size = Literal["tiny", "light", "small", "sapiens_0.3b", "sapiens_0.6b", "sapiens_1b", "sapiens_2b"]


class Width(NamedTuple):
    """What distinguishes the sizes."""

    embed_dim: int
    num_layers: int
    num_heads: int


SIZES: dict[str, Width] = {
    "tiny": Width(160, 4, 5),  # ours: a step in a fraction of a second on two cores
    "light": Width(256, 8, 8),  # ours: 6.5 M parameters, between tiny and ViT-S
    "small": Width(384, 12, 6),  # ours: ViT-S
    "sapiens_0.3b": Width(1024, 24, 16),
    "sapiens_0.6b": Width(1280, 32, 16),
    "sapiens_1b": Width(1536, 40, 24),
    "sapiens_2b": Width(1920, 48, 32),
}


def vit(
    size: Size,
    *,
    image_size: ImageSize,
    patch_padding: Whole = 0,
    class_token: bool = False,
    drop_path: BelowOne = 0.0,
    activation_checkpointing: bool = False,
) -> ViT:
    """Build an encoder by the name of its size; see ``ViT`` for the arguments.

    Raises:
        ValueError: there is no such size.
    """
    if size not in SIZES:
        raise ValueError(f"there is no ViT of size {size!r}; known are {', '.join(SIZES)}")
    return ViT(
        image_size,
        **SIZES[size]._asdict(),
        patch_padding=patch_padding,
        class_token=class_token,
        drop_path=drop_path,
        activation_checkpointing=activation_checkpointing,
    )


class ViT(Backbone):
    """Plain vision transformer.

    Args:
        image_size: (height, width) of the positional embedding; ``forward`` accepts other
            multiples of the patch size and resizes the embedding.
        embed_dim: ``D``.
        num_layers: transformer blocks.
        num_heads: attention heads.
        patch_size: ``P``.
        patch_padding: zeros around the image before it is cut into patches; the grid stays the
            same and the patches shift. 2 in the official pose, normal, LIP and CIHP models, 0
            elsewhere.
        class_token: a leading token that belongs to no patch (pretraining has one).
        mlp_ratio: hidden width of the MLP over ``D``.
        drop_path: probability of dropping a block, rising linearly from 0 in the first.
        activation_checkpointing: recompute blocks in the backward pass instead of storing them.

    Raises:
        ValueError: sizes that do not divide.
    """

    training_only = frozenset({"activation_checkpointing", "drop_path"})

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        patch_size: int = 16,
        patch_padding: int = 0,
        class_token: bool = False,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} is not a multiple of num_heads {num_heads}")
        if not 0 <= patch_padding < patch_size / 2:
            raise ValueError(f"patch_padding {patch_padding} changes the grid of {patch_size} px")
        self.embed_dim, self.patch_size, self.stride = embed_dim, patch_size, patch_size
        self.num_prefix_tokens = int(class_token)
        self.activation_checkpointing = activation_checkpointing
        self.image_size = (image_size[0], image_size[1])
        self.patch_embed = nn.Conv2d(
            3, embed_dim, patch_size, stride=patch_size, padding=patch_padding
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if class_token else None
        # From scratch the sin-cos table learns faster than noise; trained weights replace it.
        self.pos_embed = nn.Parameter(
            sincos_pos_embed(embed_dim, self.grid, class_token=class_token)
        )
        rates = [drop_path * i / max(1, num_layers - 1) for i in range(num_layers)]
        self.layers = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio=mlp_ratio, drop_path=rate) for rate in rates
        )
        self.block_names = [f"layers.{i}" for i in range(num_layers)]
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.apply(_initialize)

    def embed(self, image: Tensor) -> Tensor:
        """Return the patches of an image as tokens ``(B, N, D)`` with positions added."""
        grid = self.grid_of((image.shape[-2], image.shape[-1]))
        tokens = self.patch_embed(image).flatten(2).transpose(1, 2)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        positions = resize_pos_embed(
            self.pos_embed, self.grid, grid, num_prefix_tokens=self.num_prefix_tokens
        )
        embedded: Tensor = tokens + positions.to(tokens.dtype)
        return embedded

    def encode(self, tokens: Tensor) -> Tensor:
        """Run tokens ``(B, n, D)`` through the blocks and the final norm."""
        for layer in self.layers:
            if self.activation_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, use_reentrant=False)
            else:
                tokens = layer(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return feature maps ``(B, D, H/P, W/P)`` after the named blocks, unnormalized."""
        wanted = [range(len(self.layers))[i] for i in layers]
        tokens, found = self.embed(image), {}
        for i, layer in enumerate(self.layers):
            tokens = layer(tokens)
            found[i] = tokens
        grid = self.grid_of((image.shape[-2], image.shape[-1]))
        return [self.to_map(found[i], grid) for i in wanted]

    def fit_state(
        self, state: Mapping[str, Tensor], grid: tuple[int, int] | None
    ) -> dict[str, Tensor]:
        """Resize the positional embedding and drop a class token that this encoder lacks.

        Args:
            state: tensors by this module's names.
            grid: (rows, columns) of patches that they were made for. ``None`` reads it off their
                number: square, or 4:3 as in the fine-tuned models.
        """
        fitted = dict(state)
        table = fitted.get("pos_embed")
        if table is None:
            return fitted
        grid = grid or grid_of_patches(table.shape[1]) or grid_of_patches(table.shape[1] - 1)
        if grid is None:
            return fitted
        prefix = table.shape[1] - grid[0] * grid[1]  # a class token's position may be left alone
        if self.cls_token is None:
            fitted.pop("cls_token", None)
            table, prefix = table[:, prefix:], 0
        fitted["pos_embed"] = resize_pos_embed(table, grid, self.grid, num_prefix_tokens=prefix)
        return fitted


class Block(nn.Module):
    """One pre-norm transformer layer: attention and MLP, each with a residual connection."""

    def __init__(
        self, embed_dim: int, num_heads: int, *, mlp_ratio: float = 4.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.drop_rate = drop_path
        self.norm1 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.attn = Attention(embed_dim, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.mlp = Mlp(embed_dim, int(embed_dim * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(B, N, D)``."""
        tokens = tokens + self._drop_path(self.attn(self.norm1(tokens)))
        return tokens + self._drop_path(self.mlp(self.norm2(tokens)))

    def _drop_path(self, branch: Tensor) -> Tensor:
        if self.drop_rate == 0 or not self.training:
            return branch
        keep = 1 - self.drop_rate  # per sample, scaled so that the expectation stays
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection for query, key and value."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(B, N, D)``."""
        qkv = self.qkv(tokens).unflatten(2, (3, self.num_heads, -1))  # (B, N, 3, heads, d)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, embed_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(B, N, D)``."""
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


def _initialize(module: nn.Module) -> None:
    """Initialize as the official MAE encoder does (``MAEViT.init_weights``)."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
    elif isinstance(module, ViT) and module.cls_token is not None:
        nn.init.normal_(module.cls_token, std=0.02)
