"""From the network's map to the source image: what every dense task does with its output.

A 4K frame has 8 million pixels, so 28 logits of each are 0.9 GB. Nothing here holds more than its
result and a band of at most ``BAND_BYTES``: bands of rows where pixels are moved by a matrix,
single channels where the map is only resized.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.data.sample import Meta

BAND_BYTES = 1 << 26  # of the values that are in memory beside the result


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
    if _is_resize(meta, input_size):
        return upsample(whole, meta.size)[0]
    moved = output.new_empty((len(output), *meta.size))
    for rows, band in _bands(whole, meta, input_size):
        moved[:, rows] = band
    return moved


def labels_to_source(logits: Tensor, meta: Meta, input_size: tuple[int, int]) -> Tensor:
    """Return the likeliest class at every pixel of the source image: ``to_source(...).argmax(0)``.

    The logits ``(C, h, w)`` of the whole source image are never in memory together.

    Returns:
        ``(source height, source width)`` uint8; of equal logits, the first class.
    """
    logits = logits.float()  # half precision would make many of them equal
    labels = torch.zeros(meta.size, dtype=torch.uint8, device=logits.device)
    if not _is_resize(meta, input_size):
        for rows, band in _bands(upsample(logits[None], input_size), meta, input_size):
            labels[rows] = band.argmax(0).to(torch.uint8)
        return labels
    highest: Tensor | None = None
    for number, channel in enumerate(logits):
        values = upsample(upsample(channel[None, None], input_size), meta.size)[0, 0]
        if highest is None:
            highest = values
            continue
        labels.masked_fill_(values > highest, number)
        highest = torch.maximum(values, highest)
    return labels


def _is_resize(meta: Meta, input_size: tuple[int, int]) -> bool:
    """Tell whether the input is the whole source image, resized."""
    return np.allclose(meta.matrix, geometry.resize(meta.size, input_size), atol=1e-9)


def _bands(
    whole: Tensor, meta: Meta, input_size: tuple[int, int]
) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of the source image and the map ``(C, rows, W)`` there."""
    height, width = meta.size
    step = max(1, BAND_BYTES // (max(whole.shape[1], 8) * 4 * width))  # the grid takes some, too
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        grid = _sampling_grid(meta.matrix, rows, width, input_size).to(whole)
        yield rows, F.grid_sample(whole, grid, padding_mode="border", align_corners=False)[0]


def _sampling_grid(
    matrix: geometry.Matrix, rows: slice, width: int, input_size: tuple[int, int]
) -> Tensor:
    """Return where to look in the input, ``(1, rows, W, 2)`` in -1..1, for these source pixels."""
    y, x = np.mgrid[rows, 0:width].astype(np.float32)
    xy = geometry.apply(matrix, np.stack([x, y], -1))
    input_height, input_width = input_size
    return torch.from_numpy((2 * xy + 1) / (input_width, input_height) - 1)[None]
