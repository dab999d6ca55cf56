"""Keypoints to heatmaps and back, unbiased: UDP targets, DARK decoding.

Both directions are whole-tensor operations on any device, because 308 maps per person are too many
to build in data workers or to walk through one by one. UDP: Huang et al., "The Devil is in the
Details", CVPR 2020. DARK: Zhang et al., "Distribution-Aware Coordinate Representation", CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# The logarithm sees values in this range only (official `refine_keypoints_dark_udp`).
LOG_MIN, LOG_MAX = 1e-3, 50.0


class HeatmapCodec:
    """One Gaussian a keypoint, and the sub-pixel place of its peak.

    The outer pixel centers of input and heatmap coincide, so input pixel ``p`` lies at heatmap
    pixel ``p * (w - 1) / (W - 1)``.

    Args:
        input_size: (height, width) of the network's input.
        heatmap_size: (height, width) of the heatmaps.
        sigma: standard deviation of the Gaussian in heatmap pixels; it is cut at 3 sigma.
        blur_kernel_size: side of the Gaussian that smooths a map before its peak is refined; odd.
            The official value is 11 for every ``sigma``.

    Raises:
        ValueError: a size below 2 pixels, ``sigma`` not above 0 or an even kernel.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        *,
        heatmap_size: tuple[int, int],
        sigma: float,
        blur_kernel_size: int = 11,
    ) -> None:
        if min(*input_size, *heatmap_size) < 2:
            raise ValueError(f"sizes need 2 pixels a side, got {input_size} and {heatmap_size}")
        if sigma <= 0:
            raise ValueError(f"sigma must be above 0 heatmap pixels, got {sigma}")
        if blur_kernel_size < 1 or blur_kernel_size % 2 == 0:
            raise ValueError(f"blur_kernel_size must be odd, got {blur_kernel_size}")
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.sigma = sigma
        self.blur_kernel_size = blur_kernel_size

    @torch.no_grad()
    def encode(self, xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the targets.

        A Gaussian is sub-pixel exact inside an integer window of radius 3 sigma about the nearest
        pixel. It factors into a row and a column, so a window is one outer product.

        Args:
            xy: ``(B, K, 2)`` input pixels; anywhere.
            visible: ``(B, K)``, 0 where a keypoint is not labeled.

        Returns:
            heatmap: ``(B, K, h, w)`` float32, peak 1 at the keypoint; 0 where it is not labeled.
            target_weight: ``(B, K)`` float32, 1 where labeled; 0 where the window misses the map.
        """
        weight = visible.float().clamp(max=1.0)
        labeled = weight >= 0.5
        # Unlabeled points may hold anything, NaN too.
        mu = torch.where(labeled[..., None], xy.float() * self._to_heatmap(xy.device), 0.0)
        h, w = self.heatmap_size
        x, column, misses_x = self._window(mu[..., 0], w)
        y, row, misses_y = self._window(mu[..., 1], h)
        outside = labeled & (misses_x | misses_y)
        row = row * (labeled & ~outside)[..., None]
        window = row[..., :, None] * column[..., None, :]
        place = y[..., :, None] * w + x[..., None, :]
        heatmap = _zeros((*mu.shape[:2], h * w), mu.device)
        heatmap.scatter_(-1, place.flatten(2), window.flatten(2))
        return heatmap.view(*mu.shape[:2], h, w), weight.masked_fill(outside, 0.0)

    @torch.no_grad()
    def decode(self, heatmap: Tensor) -> tuple[Tensor, Tensor]:
        """Find each map's peak: largest pixel, then one Newton step on the blurred logarithm.

        Args:
            heatmap: ``(B, K, h, w)``, any float type.

        Returns:
            xy: ``(B, K, 2)`` float32 input pixels, always finite. A map without a positive value
                yields its largest pixel, unrefined.
            score: ``(B, K)`` float32, the largest value.

        Raises:
            ValueError: the maps do not have ``heatmap_size``.
        """
        if tuple(heatmap.shape[-2:]) != self.heatmap_size:
            raise ValueError(
                f"heatmaps are {tuple(heatmap.shape[-2:])}, the codec expects {self.heatmap_size}"
            )
        with torch.autocast(heatmap.device.type, enabled=False):
            heatmap = heatmap.float()
            score, peak = _argmax(heatmap)
            xy = (peak + self._newton_step(heatmap, score, peak)).float()
        return xy / self._to_heatmap(heatmap.device), score

    def _to_heatmap(self, device: torch.device) -> Tensor:
        """Factors ``(2,)`` for (x, y) from input to heatmap pixels."""
        (H, W), (h, w) = self.input_size, self.heatmap_size
        return torch.tensor([(w - 1) / (W - 1), (h - 1) / (H - 1)], device=device)

    def _window(self, mu: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cut the Gaussians along one axis.

        Returns:
            Pixels ``(B, K, n)``, all different and inside the map; the Gaussians' values there; and
            whether a window misses the map, ``(B, K)``.
        """
        radius = math.ceil(3 * self.sigma)
        # Toward zero and not down, as the official code: it moves the window, not the Gaussian.
        anchor = (mu + 0.5).trunc()[..., None]
        n = min(2 * radius + 1, size)
        x = (anchor - radius).clamp(0, size - n) + torch.arange(n, device=mu.device)
        values = torch.exp(-((x - mu[..., None]) ** 2) / (2 * self.sigma**2))
        values = values * ((x - anchor).abs() <= radius)
        # The far end is exclusive in the official code: a window that ends at pixel -1 is empty
        # and still counts.
        misses = (anchor - radius >= size) | (anchor + radius + 1 < 0)
        return x.long(), values, misses[..., 0]

    def _newton_step(self, heatmap: Tensor, score: Tensor, peak: Tensor) -> Tensor:
        """Return the way ``(B, K, 2)`` from the largest pixel to the peak of the local parabola."""
        f = self._neighborhood(heatmap, score, peak).clamp(LOG_MIN, LOG_MAX).log()
        top, middle, bottom = f.unbind(-2)
        dx = (middle[..., 2] - middle[..., 0]) / 2
        dy = (bottom[..., 1] - top[..., 1]) / 2
        twice = 2 * middle[..., 1]
        eps = torch.finfo(torch.float32).eps  # keeps a flat top from dividing by zero
        dxx = middle[..., 2] - twice + middle[..., 0] + eps
        dyy = bottom[..., 1] - twice + top[..., 1] + eps
        dxy = (
            bottom[..., 2] - middle[..., 2] - bottom[..., 1] + twice
            - middle[..., 0] - top[..., 1] + top[..., 0]
        ) / 2  # fmt: skip
        determinant = dxx * dyy - dxy * dxy
        step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / determinant[..., None]
        sound = torch.isfinite(step).all(-1) & (score > 0)
        return torch.where(sound[..., None], step, 0.0)

    def _neighborhood(self, heatmap: Tensor, score: Tensor, peak: Tensor) -> Tensor:
        """Return the blurred maps ``(B, K, 3, 3)`` about their largest pixels.

        The official code blurs whole maps and scales them back to their old maximum. The scale is
        lost in the logarithm's derivatives unless the range's ends cut, so whole maps are blurred
        only for the few keypoints where they do.
        """
        kernel = _gaussian_kernel(self.blur_kernel_size, heatmap.device)
        # A nearly flat top magnifies rounding, and the windows are small: float64 where there is.
        precise = torch.float32 if heatmap.device.type == "mps" else torch.float64
        values = _blurred_window(heatmap, peak, kernel.to(precise))
        cut = (values.amin((-2, -1)) < LOG_MIN) | (score > LOG_MAX)
        cut &= score > 0
        if cut.any():
            blurred_max = _blur(heatmap[cut], kernel).amax((-2, -1))
            values[cut] *= (score[cut] / blurred_max).to(precise)[:, None, None]
        return values


def flip_heatmaps(heatmap: Tensor, flip_indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """Undo the flip on the heatmaps of a flipped image.

    Args:
        heatmap: ``(B, K, h, w)``.
        flip_indices: ``(K,)`` index of every keypoint's partner on the other side.

    Returns:
        ``(B, K, h, w)``, aligned with the unflipped image's heatmaps: the outer pixel centers
        coincide, so nothing needs shifting.
    """
    index = torch.as_tensor(flip_indices, device=heatmap.device)
    return heatmap.flip(-1).index_select(1, index)


def _zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return float32 zeros; on the CPU by NumPy, whose fresh pages cost a third of torch's."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(shape, np.float32))
    return torch.zeros(shape, device=device)


def _argmax(heatmap: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest values ``(B, K)`` and their first places ``(B, K, 2)`` xy, int64."""
    flat = heatmap.flatten(2)
    if flat.device.type == "cpu":  # NumPy's is vectorized and 17 times as fast as torch's
        index = torch.from_numpy(flat.detach().numpy().argmax(-1))
    else:
        index = flat.argmax(-1)
    width = heatmap.shape[-1]
    score = flat.gather(-1, index[..., None])[..., 0]
    return score, torch.stack([index % width, index // width], -1)


def _blurred_window(heatmap: Tensor, peak: Tensor, kernel: Tensor) -> Tensor:
    """Blur just the 3x3 pixels about ``peak``; ``(B, K, 3, 3)``.

    Pixels outside the map are zero to the blur; blurred pixels outside repeat the nearest inside.
    """
    B, K, h, w = heatmap.shape
    reach = len(kernel) // 2 + 1
    offset = torch.arange(-reach, reach + 1, device=heatmap.device)
    x, y = peak[..., :1] + offset, peak[..., 1:] + offset  # (B, K, 2 * reach + 1)
    flat = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    window = heatmap.reshape(B, K, h * w).gather(-1, flat.flatten(2)).view(flat.shape)
    inside_x, inside_y = (x >= 0) & (x < w), (y >= 0) & (y < h)
    window = window.to(kernel.dtype) * (inside_y[..., :, None] & inside_x[..., None, :])
    blurred = window.unfold(-1, len(kernel), 1) @ kernel  # along x: (B, K, 2 * reach + 1, 3)
    blurred = blurred.unfold(-2, len(kernel), 1) @ kernel  # along y: (B, K, 3, 3)
    step = torch.arange(-1, 2, device=heatmap.device)
    column = (peak[..., :1] + step).clamp(0, w - 1) - peak[..., :1] + 1
    row = (peak[..., 1:] + step).clamp(0, h - 1) - peak[..., 1:] + 1
    blurred = blurred.gather(-1, column[..., None, :].expand(-1, -1, 3, -1))
    return blurred.gather(-2, row[..., :, None].expand(-1, -1, -1, 3))


def _blur(maps: Tensor, kernel: Tensor) -> Tensor:
    """Blur whole maps ``(N, h, w)`` with zeros around them."""
    weight = torch.outer(kernel, kernel).expand(len(maps), 1, -1, -1)
    return F.conv2d(maps[None], weight, padding=len(kernel) // 2, groups=len(maps))[0]


def _gaussian_kernel(size: int, device: torch.device) -> Tensor:
    """Return the kernel ``(size,)``, its sigma by the rule of ``cv2.getGaussianKernel``."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    x = torch.arange(size, device=device, dtype=torch.float32) - size // 2
    weight = torch.exp(-(x**2) / (2 * sigma**2))
    return weight / weight.sum()
