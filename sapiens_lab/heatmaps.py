"""Keypoints as heatmaps and back: UDP encoding and DARK decoding, on tensors, on any device.

Encoding without quantisation is from Huang et al., "The Devil is in the Details" (UDP, CVPR 2020,
section 3); decoding by a Newton step on the logarithm of the blurred map is from Zhang et al.,
"Distribution-Aware Coordinate Representation" (DARK, CVPR 2020, section 3.2). Constants are the
official ones (sapiens_v1 reference, sections 5.2 and 5.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class HeatmapCodec:
    """Translate between points in the input picture and maps on a coarser grid.

    The outer pixel centres of picture and map coincide (unit of length: the gap between pixels),
    so a point is exact wherever it lies.

    Args:
        input_size: (height, width) of the picture.
        heatmap_size: (height, width) of the maps.
        sigma: of the Gaussian, in heatmap pixels; it is cut off at three sigma.
        blur_kernel_size: window of the blur before decoding, odd. Its deviation follows OpenCV's
            rule, 2.0 for the official 11.
    """

    input_size: tuple[int, int]
    heatmap_size: tuple[int, int]
    sigma: float
    blur_kernel_size: int = 11

    def encode(self, xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a Gaussian of height 1 around every labelled point.

        Args:
            xy: ``(B, K, 2)`` input pixels.
            visible: ``(B, K)``; 0 is not labelled, anything larger counts.

        Returns:
            Heatmaps ``(B, K, h, w)`` float32, zero where the weight is, and weights ``(B, K)``
            float32: 1 for a labelled point whose Gaussian touches the map.
        """
        place = xy.float() / self._stride(xy.device)  # (B, K, 2) heatmap pixels
        anchor = (place + 0.5).trunc()  # as the official integer cast does, also below zero
        radius = int(3 * self.sigma)
        size = torch.tensor(self.heatmap_size[::-1], device=xy.device)
        touches = ((anchor - radius < size) & (anchor + radius + 1 >= 0)).all(-1)
        weight = ((visible > 0) & touches).float()
        rows, columns = (
            self._profile(place[..., i], anchor[..., i], radius, self.heatmap_size[1 - i])
            for i in (1, 0)
        )
        return (rows * weight[..., None])[..., :, None] * columns[..., None, :], weight

    def decode(self, heatmap: Tensor) -> tuple[Tensor, Tensor]:
        """Find the peak of every map to a fraction of a pixel.

        Args:
            heatmap: ``(B, K, h, w)``.

        Returns:
            Points ``(B, K, 2)`` in input pixels and scores ``(B, K)``, the height of the raw peak,
            both float32. A map without a positive value scores 0 or less and its point is the
            pixel of its largest value.
        """
        heatmap = heatmap.float()
        width = heatmap.shape[-1]
        score, index = heatmap.flatten(2).max(-1)
        column, row = index % width, index // width
        log = self._log_blurred(heatmap, score)
        step = _newton_step(log, row, column)
        place = torch.stack([column, row], -1) + torch.where(score[..., None] > 0, step, 0.0)
        return place * self._stride(heatmap.device), score

    def _stride(self, device: torch.device) -> Tensor:
        """Input pixels per heatmap pixel, ``(x, y)``."""
        gaps = [(a - 1) / (b - 1) for a, b in zip(self.input_size, self.heatmap_size, strict=True)]
        return torch.tensor(gaps[::-1], device=device)

    def _profile(self, center: Tensor, anchor: Tensor, radius: int, length: int) -> Tensor:
        """Return one-dimensional Gaussians ``(B, K, length)``, cut to a window about ``anchor``."""
        pixel = torch.arange(length, device=center.device)
        gauss = torch.exp(-((pixel - center[..., None]) ** 2) / (2 * self.sigma**2))
        return torch.where((pixel - anchor[..., None]).abs() <= radius, gauss, 0.0)

    def _log_blurred(self, heatmap: Tensor, peak: Tensor) -> Tensor:
        """Smooth, give every map its old height back, and take the logarithm."""
        maps = heatmap.flatten(0, 1)[:, None]  # (B * K, 1, h, w)
        kernel = _gaussian_kernel(self.blur_kernel_size, heatmap.device)
        pad = self.blur_kernel_size // 2
        maps = F.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(pad, 0))
        maps = F.conv2d(maps, kernel.view(1, 1, 1, -1), padding=(0, pad))
        blurred = maps.view_as(heatmap)
        top = blurred.amax((-2, -1)).clamp_min(torch.finfo(torch.float32).tiny)
        return (blurred * (peak / top)[..., None, None]).clamp(1e-3, 50).log()


def flip_heatmaps(heatmap: Tensor, mirror_index: Sequence[int] | Tensor) -> Tensor:
    """Turn the maps of a mirrored picture into maps of the picture itself.

    Args:
        heatmap: ``(B, K, h, w)``.
        mirror_index: ``(K,)`` the keypoint that each becomes in a mirror.
    """
    index = torch.as_tensor(mirror_index, device=heatmap.device)
    return heatmap.flip(-1)[:, index]


def _newton_step(log: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the step ``(B, K, 2)`` xy from a pixel to the top of the parabola through it.

    The nine values around the pixel give gradient and Hessian by differences; outside the map its
    edge is repeated. A step that the Hessian leaves undefined is zero.
    """
    height, width = log.shape[-2:]
    flat = log.flatten(2)

    def at(dy: int, dx: int) -> Tensor:
        y, x = (row + dy).clamp(0, height - 1), (column + dx).clamp(0, width - 1)
        return flat.gather(2, (y * width + x)[..., None])[..., 0]

    here = at(0, 0)
    dx = (at(0, 1) - at(0, -1)) / 2
    dy = (at(1, 0) - at(-1, 0)) / 2
    eps = torch.finfo(torch.float32).eps
    dxx = at(0, 1) - 2 * here + at(0, -1) + eps
    dyy = at(1, 0) - 2 * here + at(-1, 0) + eps
    dxy = (at(1, 1) - at(0, 1) - at(1, 0) + 2 * here - at(0, -1) - at(-1, 0) + at(-1, -1)) / 2
    determinant = dxx * dyy - dxy * dxy
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / determinant[..., None]
    return torch.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)


def _gaussian_kernel(size: int, device: torch.device) -> Tensor:
    """Return a normalised window ``(size,)`` with OpenCV's default deviation for its size."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    offset = torch.arange(size, device=device) - (size - 1) / 2
    kernel = torch.exp(-(offset**2) / (2 * sigma**2))
    return kernel / kernel.sum()
