"""Positional embeddings of the vision transformer: sin-cos tables, resampled between grids."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sincos_pos_embed(
    embed_dim: int, grid: tuple[int, int], *, class_token: bool = False, temperature: float = 1e4
) -> Tensor:
    """Return the 2D sin-cos positional embedding ``(1, N, D)`` of a grid of (rows, columns).

    A quarter of the channels each: sin(row), cos(row), sin(column), cos(column), with frequencies
    ``temperature ** (-i / (D / 4))``. The row comes first as in Sapiens (its
    ``build_2d_sincos_position_embedding``); facebookresearch/mae has the column first.
    The class token's row is zero.

    Raises:
        ValueError: ``embed_dim`` is not a multiple of four.
    """
    if embed_dim % 4:
        raise ValueError(f"a sin-cos table needs a multiple of 4 channels, not {embed_dim}")
    quarter = embed_dim // 4
    frequency = temperature ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row, column = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij"
    )
    angles = [place.flatten()[:, None] * frequency for place in (row, column)]
    table = torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1).float()
    if class_token:
        table = torch.cat([torch.zeros(1, embed_dim), table])
    return table[None]


def resize_pos_embed(
    table: Tensor,
    source: tuple[int, int],
    target: tuple[int, int],
    *,
    num_prefix_tokens: int = 0,
) -> Tensor:
    """Resample a positional embedding ``(1, N, D)`` from one grid of (rows, columns) to another.

    Bicubic without antialiasing, in float32, as the official code does (sapiens_v1, 1.5). The
    rows of prefix tokens are kept.
    """
    if source == target:
        return table
    prefix, patches = table[:, :num_prefix_tokens], table[:, num_prefix_tokens:]
    image = patches.float().transpose(1, 2).reshape(1, -1, *source)  # (1, D, rows, columns)
    image = F.interpolate(image, size=target, mode="bicubic", align_corners=False)
    resized = image.flatten(2).transpose(1, 2).to(table.dtype)
    return torch.cat([prefix, resized], 1)


def grid_of_patches(num_patches: int) -> tuple[int, int] | None:
    """Return the (rows, columns) of that many patches: square, or 4:3 as in fine-tuned models."""
    side = math.isqrt(num_patches)
    if side * side == num_patches:
        return side, side
    unit = math.isqrt(num_patches // 12)
    return (4 * unit, 3 * unit) if 12 * unit * unit == num_patches else None
