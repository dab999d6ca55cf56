"""From the colors of foreground pixels to an 8-bit image: supersampling, blending, tone mapping."""

from __future__ import annotations

import cv2
import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, U8, Bool
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.lighting import Light


def supersampled(camera: Camera, supersample: int) -> Camera:
    """Return the camera of the fine grid, whose odd samples are the pixel centers.

    With two samples per pixel there are 2 H + 1 rows: the image is then the fine grid under a
    1-2-1 filter about each center, and the annotations are read exactly at the centers.
    """
    if supersample == 1:
        return camera
    size = (2 * camera.size[0] + 1, 2 * camera.size[1] + 1)
    return camera.warp(np.array([[2.0, 0, 1], [0, 2.0, 1]]), size)


def at_centers(mask: Bool, values: np.ndarray, supersample: int) -> np.ndarray:
    """Return values ``(P, ...)`` of the fine grid's foreground as a map ``(H, W, ...)``."""
    step = slice(1, None, 2) if supersample == 2 else slice(None)
    full = np.zeros((*mask.shape, *values.shape[1:]), values.dtype)
    full[mask] = values
    return np.ascontiguousarray(full[step, step])


def blend(mask: Bool, color: F32, background: F32, supersample: int) -> F32:
    """Lay foreground colors ``(P, 3)`` over the background ``(H, W, 3)``; all linear."""
    layer = np.zeros((*mask.shape, 4), np.float32)  # color times coverage, coverage
    layer[mask, :3] = color
    layer[mask, 3] = 1
    if supersample == 2:
        kernel = np.array([0.25, 0.5, 0.25], np.float32)
        layer = np.asarray(cv2.sepFilter2D(layer, -1, kernel, kernel))[1::2, 1::2]
    return np.asarray(layer[..., :3] + (1 - layer[..., 3:]) * background)


def tone_map(image: F32, light: Light, noise: np.random.Generator | None) -> U8:
    """Convert linear light ``(H, W, 3)`` to 8-bit RGB as a camera does.

    Args:
        image: linear RGB.
        light: its exposure and gamma.
        noise: draws the sensor's noise; ``None`` adds none.
    """
    image = image * np.float32(light.exposure)
    if noise is not None:
        strength = np.float32(noise.uniform(0, 0.02))
        image += noise.standard_normal(image.shape, dtype=np.float32) * strength
    curve = (np.linspace(0, 1, 4096) ** (1 / light.gamma) * 255).round().astype(np.uint8)
    return np.asarray(curve[(np.clip(image, 0, 1) * 4095).astype(np.uint16)])
