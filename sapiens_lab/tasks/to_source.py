"""From the network's map to the source image: what every dense task does with its output."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.data.sample import Meta


def upsample(output: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps ``(B, C, h, w)`` to (height, width), bilinear with half-pixel centers."""
    if output.shape[-2:] == size:
        return output
    return F.interpolate(output, size=size, mode="bilinear", align_corners=False)


def to_source(output: Tensor, meta: Meta, input_size: tuple[int, int]) -> Tensor:
    """Sample one map ``(C, h, w)`` at every pixel of its source image.

    The map is first brought to the input's size, as the official evaluation does, and then moved
    by the inverse of ``meta.matrix``. Source pixels that the network has not seen get the value
    of the nearest seen one.

    Returns:
        ``(C, source height, source width)``.
    """
    whole = upsample(output[None], input_size)
    if np.allclose(meta.matrix, geometry.resize(meta.size, input_size), atol=1e-9):
        return upsample(whole, meta.size)[0]
    grid = _sampling_grid(meta.matrix, meta.size, input_size).to(output)
    moved = F.grid_sample(whole, grid, padding_mode="border", align_corners=False)
    return moved[0]


def _sampling_grid(
    matrix: geometry.Matrix, source: tuple[int, int], input_size: tuple[int, int]
) -> Tensor:
    """Return where to look in the input, ``(1, H, W, 2)`` in -1..1, for each source pixel."""
    y, x = np.indices(source, np.float32)
    xy = geometry.apply(matrix, np.stack([x, y], -1))
    height, width = input_size
    return torch.from_numpy((2 * xy + 1) / (width, height) - 1)[None]
