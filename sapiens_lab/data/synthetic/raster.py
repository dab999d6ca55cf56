"""Find the nearest surface behind every pixel: triangles in, triangle ids and barycentrics out.

Two back ends do the same float operations in the same order, so their masks are identical bit for
bit: NumPy, always there, and Numba, several times as fast, used when it is installed. Choose with
the environment variable ``SAPIENS_LAB_RASTER=numpy|numba`` or the ``backend`` argument.

Pixel centres are integers. A fragment whose interpolated ``cut`` value is negative is dropped:
that trims a garment along a smooth line, whatever the size of its triangles.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sapiens_lab.data.synthetic.arrays import F32, I32, I64, Bool

Backend = Literal["numpy", "numba"]
NEAR = 0.02  # [m] triangles that reach nearer to the camera are dropped
_CHUNK = 400_000  # candidate fragments at a time: keeps the temporaries in the cache


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragments:
    """The nearest surface of every pixel."""

    depth: F32  # (H, W) [m], 0 where there is nothing
    triangle: I32  # (H, W), -1 where there is nothing
    weights: F32  # (H, W, 3) perspective-correct weights of the triangle's corners


def default_backend() -> Backend:
    """Return Numba when it is installed and ``SAPIENS_LAB_RASTER`` does not say otherwise.

    Raises:
        ValueError: the variable holds something else, or asks for a Numba that is not there.
    """
    installed = importlib.util.find_spec("numba") is not None
    name = os.environ.get("SAPIENS_LAB_RASTER", "numba" if installed else "numpy")
    if name == "numba" and installed:
        return "numba"
    if name == "numpy":
        return "numpy"
    raise ValueError(
        f"SAPIENS_LAB_RASTER={name!r}: use 'numpy', or 'numba' after `pip install numba`"
    )


def rasterize(
    xy: F32,
    z: F32,
    triangles: I64,
    size: tuple[int, int],
    *,
    cut: F32,
    cull: Bool,
    mirrored: bool = False,
    backend: Backend | None = None,
) -> Fragments:
    """Rasterise with a depth buffer.

    Args:
        xy: ``(V, 2)`` pixels.
        z: ``(V,)`` depth [m].
        triangles: ``(T, 3)``.
        size: (height, width).
        cut: ``(V,)``; fragments where it interpolates below zero are dropped.
        cull: ``(T,)`` drop the triangle when its back is seen.
        mirrored: the camera mirrors, so fronts and backs look exchanged.
        backend: by default that of :func:`default_backend`.
    """
    facing = np.where(cull, -1.0 if not mirrored else 1.0, 0.0).astype(np.float32)
    run = _numba_kernel() if (backend or default_backend()) == "numba" else _rasterize_numpy
    inverse, triangle, weights = run(
        np.ascontiguousarray(xy, np.float32),
        np.asarray(1 / np.maximum(z, NEAR / 2), np.float32),
        np.ascontiguousarray(triangles),
        size[0],
        size[1],
        np.asarray(cut, np.float32),
        facing,
    )
    depth = np.where(inverse > 0, 1 / np.maximum(inverse, 1e-9), 0).astype(np.float32)
    return Fragments(depth=depth, triangle=triangle, weights=weights)


def _rasterize_numpy(
    xy: F32, inverse_z: F32, triangles: I64, height: int, width: int, cut: F32, facing: F32
) -> tuple[F32, I32, F32]:
    ids, box, edges = _setup(xy, inverse_z, triangles, height, width, facing)
    corner_z, corner_cut = inverse_z[triangles[ids]], cut[triangles[ids]]
    best = np.zeros(height * width, np.float32)
    triangle = np.full(height * width, -1, np.int32)
    weights = np.zeros((height * width, 3), np.float32)
    x0, y0, columns, count = box
    ends = np.cumsum(count)
    start = 0
    while start < len(ids):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK)))
        number = count[start:stop]
        owner = np.repeat(np.arange(start, stop, dtype=np.int32), number)
        first = np.repeat((np.cumsum(number) - number).astype(np.int32), number)
        dy, dx = np.divmod(np.arange(len(owner), dtype=np.int32) - first, columns[owner])
        e = edges[owner]
        fx, fy = dx.astype(np.float32), dy.astype(np.float32)
        w0 = e[:, 0] * fx + e[:, 1] * fy + e[:, 2]
        w1 = e[:, 3] * fx + e[:, 4] * fy + e[:, 5]
        w2 = np.float32(1) - w0 - w1
        inside = (w0 >= 0) & (w1 >= 0) & (w2 >= 0)
        owner, dx, dy = owner[inside], dx[inside], dy[inside]
        p = np.stack([w0[inside], w1[inside], w2[inside]], 1) * corner_z[owner]
        c = corner_cut[owner]
        keep = p[:, 0] * c[:, 0] + p[:, 1] * c[:, 1] + p[:, 2] * c[:, 2] >= 0
        owner, dx, dy, p = owner[keep], dx[keep], dy[keep], p[keep]
        inverse = p[:, 0] + p[:, 1] + p[:, 2]
        pixel = (y0[owner] + dy) * width + x0[owner] + dx
        np.maximum.at(best, pixel, inverse)
        won = inverse == best[pixel]  # of equals the last one stays, as in the other back end
        pixel = pixel[won]
        triangle[pixel] = ids[owner[won]]
        weights[pixel] = p[won] / inverse[won, None]
        start = stop
    shape = (height, width)
    return best.reshape(shape), triangle.reshape(shape), weights.reshape(*shape, 3)


def _setup(
    xy: F32, inverse_z: F32, triangles: I64, height: int, width: int, facing: F32
) -> tuple[I64, tuple[I32, I32, I32, I64], F32]:
    """Return the triangles in view, their pixel boxes and their edge functions ``(T, 6)``.

    The edge functions are the first two barycentric weights, counted from the box's first pixel,
    which keeps float32 exact enough; they are set up in float64.
    """
    corners = xy[triangles].astype(np.float64)  # (T, 3, 2)
    low, high = corners.min(1), corners.max(1)
    x0 = np.maximum(np.ceil(low[:, 0]), 0).astype(np.int32)
    y0 = np.maximum(np.ceil(low[:, 1]), 0).astype(np.int32)
    x1 = np.minimum(np.floor(high[:, 0]), width - 1).astype(np.int32)
    y1 = np.minimum(np.floor(high[:, 1]), height - 1).astype(np.int32)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    near = inverse_z[triangles].max(1) > np.float32(1 / NEAR)
    seen = (x1 >= x0) & (y1 >= y0) & (np.abs(area) > 1e-9) & ~near & (facing * area >= 0)
    ids = np.flatnonzero(seen)
    a, b, c, area = a[ids], b[ids], c[ids], area[ids]
    x0, y0, x1, y1 = x0[ids], y0[ids], x1[ids], y1[ids]
    edges = [
        (b[:, 1] - c[:, 1]) / area,
        (c[:, 0] - b[:, 0]) / area,
        ((b[:, 1] - c[:, 1]) * (x0 - c[:, 0]) + (c[:, 0] - b[:, 0]) * (y0 - c[:, 1])) / area,
        (c[:, 1] - a[:, 1]) / area,
        (a[:, 0] - c[:, 0]) / area,
        ((c[:, 1] - a[:, 1]) * (x0 - a[:, 0]) + (a[:, 0] - c[:, 0]) * (y0 - a[:, 1])) / area,
    ]
    columns = x1 - x0 + 1
    count = columns.astype(np.int64) * (y1 - y0 + 1)
    return ids, (x0, y0, columns, count), np.stack(edges, 1).astype(np.float32)


_KERNEL: Callable[..., tuple[F32, I32, F32]] | None = None


def _numba_kernel() -> Callable[..., tuple[F32, I32, F32]]:
    """Compile the loop on first use (a second, then cached on disk by Numba)."""
    global _KERNEL
    if _KERNEL is None:
        from sapiens_lab.data.synthetic import raster_numba

        _KERNEL = raster_numba.rasterize
    kernel: Any = _KERNEL
    return kernel  # type: ignore[no-any-return]
