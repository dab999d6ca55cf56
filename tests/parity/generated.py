"""Weights and images of the recordings, generated from their names alone.

The official code was run on exactly these, so the recordings hold its outputs only. The numbers
come from NumPy's legacy generator, whose stream is frozen (NEP 19).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def normal(name: str, shape: Sequence[int]) -> Tensor:
    """Return standard normal numbers, float32, that depend on the name alone."""
    stream = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(stream.standard_normal(tuple(shape)).astype(np.float32))


def weight(name: str, shape: Sequence[int]) -> Tensor:
    """Return a parameter; biases and norms differ from their usual initial values too."""
    value = normal(name, shape)
    if len(shape) == 1:  # a bias, or the scale of a layer norm
        return 0.1 * value + (1.0 if name.endswith("weight") else 0.0)
    if "embed" in name and len(shape) == 3:
        return 0.5 * value
    return value / math.sqrt(math.prod(shape[1:]))


def state_dict(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return weights for official names and shapes."""
    return {name: weight(name, shape) for name, shape in shapes.items()}


def image_uint8(name: str, height: int, width: int) -> np.ndarray:
    """Return a smooth image, ``(height, width, 3)`` uint8, the sum of a few waves."""
    waves = normal(name, (3, 6, 4)).numpy()
    y, x = np.mgrid[:height, :width] / 16
    angle = waves[..., :1, None] * x + waves[..., 1:2, None] * y + 6 * waves[..., 2:3, None]
    value = (waves[..., 3, None, None] * np.sin(angle)).sum(1)
    return np.ascontiguousarray((128 + 32 * value).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
