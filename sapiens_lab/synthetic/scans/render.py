"""Render a scan: image, mask, depth and normals through one camera.

It uses the rasterizer, light and backgrounds of the rendered people, so both kinds of views mix.
A scan's colors hold the light it was taken in; they are lit softly again, without cast shadows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.synthetic.rendering import backgrounds
from sapiens_lab.synthetic.rendering.arrays import F32, I32, U8, Bool, dot, product, unit
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.composite import at_centers, blend, supersampled, tone_map
from sapiens_lab.synthetic.rendering.lighting import brightness, sample_light
from sapiens_lab.synthetic.rendering.raster import Backend, rasterize
from sapiens_lab.synthetic.rendering.streams import Streams
from sapiens_lab.synthetic.rendering.view import View
from sapiens_lab.synthetic.scans.scan import Scan

_GAMMA = 2.2  # of the scan's colors, undone for the light and done again


def render_scan(
    scan: Scan,
    camera: Camera,
    streams: Streams,
    *,
    supersample: Literal[1, 2] = 2,
    backend: Backend | None = None,
) -> View:
    """Render a scan through a camera; ``streams`` draws light, background and sensor noise."""
    dense = supersampled(camera, supersample)
    xy, z = dense.project(scan.vertices)
    everywhere = np.ones(len(scan.vertices), np.float32)
    both_sides = np.zeros(len(scan.triangles), bool)
    seen = rasterize(
        xy, z, scan.triangles, dense.size, cut=everywhere, cull=both_sides, backend=backend
    )
    mask = seen.triangle >= 0
    triangle, weights = seen.triangle[mask], seen.weights[mask]
    normal = _normals(scan, dense, mask, triangle, weights)
    light = replace(sample_light(streams.get("light")), gamma=_GAMMA)
    color = _albedo(scan, xy, triangle, weights) * brightness(normal, light, camera)[:, None]
    backdrop = backgrounds.sample_backdrop(streams.get("backdrop"))
    behind = backgrounds.paint(backdrop, camera, camera, 0.0, None)
    lit = np.clip(color * light.tint, 0, 1.2).astype(np.float32)
    image = blend(mask, lit, behind, supersample)
    depth = at_centers(mask, seen.depth[mask], supersample)
    return View(
        rgb=tone_map(image, light, streams.get("sensor")),
        mask=depth > 0,
        depth=depth,
        normal=at_centers(mask, normal, supersample),
        labels=None,
        camera=camera,
        facts={},
    )


def _normals(scan: Scan, camera: Camera, mask: Bool, triangle: I32, weights: F32) -> F32:
    """Return unit normals ``(P, 3)`` in the camera's frame.

    A triangle seen from behind (an open surface, or corners listed in the other order) shows the
    opposite normal.
    """
    y, x = np.nonzero(mask)
    rays = camera.rays(np.stack([x, y], 1))
    normal = unit(product(_mix(scan.normals, triangle, weights), camera.R.T))
    behind = dot(product(scan.faces, camera.R.T)[triangle], rays) > 0
    normal[behind] *= -1
    return normal


def _albedo(scan: Scan, xy: F32, triangle: I32, weights: F32) -> F32:
    """Return linear colors ``(P, 3)``: mixed from the corners, or sampled from a texture."""
    color = _mix(scan.colors, triangle, weights) / np.float32(255)
    texture_id = scan.texture[triangle]
    for number, texture in enumerate(scan.textures):
        pixels = np.flatnonzero(texture_id == number)
        if len(pixels):
            uv = _mix(scan.uv, triangle[pixels], weights[pixels])
            density = _density(scan, texture, xy, np.unique(triangle[pixels]))
            color[pixels] = sample_texture(texture, uv, density)
    return np.asarray(color**_GAMMA, np.float32)


def _mix(values: NDArray[Any], triangle: I32, weights: F32) -> F32:
    """Interpolate values at corners ``(T, 3, C)``."""
    out = weights[:, 0, None] * values[triangle, 0]
    out += weights[:, 1, None] * values[triangle, 1]
    out += weights[:, 2, None] * values[triangle, 2]
    return np.asarray(out, np.float32)


def _density(scan: Scan, texture: U8, xy: F32, triangles: I32) -> float:
    """Return how many texels fall on a pixel's side, over all these triangles."""

    def area(corners: NDArray[Any]) -> float:
        (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
        return float(np.abs(ax * by - ay * bx).sum())

    texels = area(scan.uv[triangles].astype(np.float64) * texture.shape[1::-1])
    pixels = area(xy[scan.triangles[triangles]].astype(np.float64))
    return math.sqrt(texels / max(pixels, 1e-9))


def sample_texture(texture: U8, uv: F32, density: float = 1.0) -> F32:
    """Return colors ``(N, 3)`` 0..1, between the nearest four texels; the texture repeats.

    Args:
        texture: ``(h, w, 3)``.
        uv: ``(N, 2)``; v points up, and 0..1 spans the texture from edge to edge.
        density: texels on a pixel's side; a much too fine texture is reduced first, or it would
            flicker.
    """
    level = int(math.log2(max(density, 1.0)))
    if level:
        size = (max(1, texture.shape[1] >> level), max(1, texture.shape[0] >> level))
        texture = np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = texture.shape[:2]
    x = uv[:, 0] * np.float32(width) - np.float32(0.5)
    y = (1 - uv[:, 1]) * np.float32(height) - np.float32(0.5)
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    color = np.zeros((len(uv), 3), np.float32)
    for dx, wx in ((0, 1 - fx), (1, fx)):
        for dy, wy in ((0, 1 - fy), (1, fy)):
            color += (wx * wy)[:, None] * texture[(y0 + dy) % height, (x0 + dx) % width]
    return np.asarray(color / np.float32(255))
