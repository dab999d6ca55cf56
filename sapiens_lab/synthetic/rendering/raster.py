"""Find the nearest surface behind every pixel: triangles in, triangle ids and barycentrics out.

Two back ends do the same float operations in the same order, so their masks are identical bit for
bit: NumPy, always there, and Numba, several times as fast, used when it is installed. Choose with
the environment variable ``SAPIENS_LAB_RASTER=numpy|numba`` or the ``backend`` argument.

Pixel centers are integers. A fragment whose interpolated ``cut`` value is negative is dropped:
that trims a garment along a smooth line, independent of the size of its triangles.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, F64, I32, I64, Bool

Backend = Literal["numpy", "numba"]
NEAR = 0.02  # [m] triangles that reach nearer to the camera are dropped
_CHUNK = 400_000  # candidate fragments at a time: bounds the memory of large images
_MARGIN = np.float32(0.05)  # [pixels] by which rows are kept longer than rounding could matter


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
    flipped: bool = False,
    backend: Backend | None = None,
) -> Fragments:
    """Rasterize with a depth buffer.

    Args:
        xy: ``(V, 2)`` pixels.
        z: ``(V,)`` depth [m].
        triangles: ``(T, 3)``.
        size: (height, width).
        cut: ``(V,)``; fragments where it interpolates below zero are dropped.
        cull: ``(T,)`` drop the triangle when its back is seen.
        flipped: the camera flips, so fronts and backs are exchanged.
        backend: by default that of :func:`default_backend`.
    """
    facing = np.where(cull, -1.0 if not flipped else 1.0, 0.0).astype(np.float32)
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
    rows = _rows(box, edges, width)
    corner_z, corner_cut = inverse_z[triangles[ids]], cut[triangles[ids]]
    best = np.zeros(height * width, np.float32)
    triangle = np.full(height * width, -1, np.int32)
    weights = np.zeros((height * width, 3), np.float32)
    ends = np.cumsum(rows.count)
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK)))
        owner, pixel, p = _fragments(rows, slice(start, stop), corner_z)
        c = corner_cut[owner]
        keep = p[:, 0] * c[:, 0] + p[:, 1] * c[:, 1] + p[:, 2] * c[:, 2] >= 0
        owner, pixel, p = owner[keep], pixel[keep], p[keep]
        inverse = p[:, 0] + p[:, 1] + p[:, 2]
        np.maximum.at(best, pixel, inverse)
        won = inverse == best[pixel]  # of equals the last one stays, as in the other back end
        pixel = pixel[won]
        triangle[pixel] = ids[owner[won]]
        weights[pixel] = p[won] / inverse[won, None]
        start = stop
    shape = (height, width)
    return best.reshape(shape), triangle.reshape(shape), weights.reshape(*shape, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Pixel rows of triangles; weight ``i`` at column ``x0 + n`` is ``slope_i * n + base_i``."""

    owner: I32  # (R,) triangle
    first: I32  # (R,) first candidate column, counted from the box
    count: I64  # (R,) candidates
    pixel: I32  # (R,) flat index of the box's first column
    slope0: F32
    base0: F32
    slope1: F32
    base1: F32


def _rows(box: tuple[I32, I32, I32, I32], edges: F32, width: int) -> _Rows:
    """Cut triangles into rows, and keep of each row only what can lie inside the triangle."""
    x0, y0, columns, num_rows = box
    owner = np.repeat(np.arange(len(num_rows), dtype=np.int32), num_rows)
    dy = np.arange(len(owner), dtype=np.int32) - (np.cumsum(num_rows) - num_rows)[owner]
    fy = dy.astype(np.float32)
    slope0, e1, e2, slope1, e4, e5 = (edges[:, i][owner] for i in range(6))
    base0, base1 = e1 * fy + e2, e4 * fy + e5
    low, high = np.zeros_like(fy), (columns[owner] - 1).astype(np.float32)
    constraints = (
        (slope0, base0), (slope1, base1), (-(slope0 + slope1), np.float32(1) - base0 - base1),
    )  # fmt: skip
    for slope, base in constraints:  # slope * n + base >= 0
        zero = -base / np.where(np.abs(slope) < 1e-12, np.float32(1e-12), slope)
        low = np.maximum(low, np.where(slope > 0, zero - _MARGIN, low))
        high = np.minimum(high, np.where(slope < 0, zero + _MARGIN, high))
    first = np.ceil(low).astype(np.int32)
    count = np.maximum(np.floor(high).astype(np.int64) - first + 1, 0)
    some = np.flatnonzero(count)
    return _Rows(
        owner=owner[some],
        first=first[some],
        count=count[some],
        pixel=((y0[owner] + dy) * width + x0[owner]).astype(np.int32)[some],
        slope0=slope0[some],
        base0=base0[some],
        slope1=slope1[some],
        base1=base1[some],
    )


def _fragments(rows: _Rows, part: slice, corner_z: F32) -> tuple[I32, I32, F32]:
    """Return triangle, pixel and weights over depth ``(N, 3)`` of the pixels inside."""
    count = rows.count[part]
    row = np.repeat(np.arange(part.start, part.stop, dtype=np.int32), count)
    step = np.arange(len(row), dtype=np.int32) - np.repeat(
        (np.cumsum(count) - count).astype(np.int32), count
    )
    column = rows.first[row] + step
    n = column.astype(np.float32)
    w0 = rows.slope0[row] * n + rows.base0[row]
    w1 = rows.slope1[row] * n + rows.base1[row]
    w2 = np.float32(1) - w0 - w1
    inside = np.flatnonzero((w0 >= 0) & (w1 >= 0) & (w2 >= 0))
    row = row[inside]
    owner = rows.owner[row]
    z = corner_z[owner]
    p = np.stack([w0[inside] * z[:, 0], w1[inside] * z[:, 1], w2[inside] * z[:, 2]], 1)
    return owner, rows.pixel[row] + column[inside], p


def _setup(
    xy: F32, inverse_z: F32, triangles: I64, height: int, width: int, facing: F32
) -> tuple[I64, tuple[I32, I32, I32, I32], F32]:
    """Return the triangles in view, their pixel boxes and their edge functions ``(T, 6)``.

    A box is its first column, first row, and numbers of columns and rows. The edge functions are
    the first two barycentric weights, counted from the box's first pixel, which keeps float32
    exact enough; they are set up in float64.
    """
    i, j, k = triangles.T
    x, y = xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64)
    ax, bx, cx, ay, by, cy = x[i], x[j], x[k], y[i], y[j], y[k]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    x0, x1 = _range(ax, bx, cx, width)
    y0, y1 = _range(ay, by, cy, height)
    far = np.maximum(np.maximum(inverse_z[i], inverse_z[j]), inverse_z[k]) <= np.float32(1 / NEAR)
    seen = (x1 >= x0) & (y1 >= y0) & (np.abs(area) > 1e-9) & far & (facing * area >= 0)
    ids = np.flatnonzero(seen)
    ax, bx, cx, ay, by, cy, area = (v[ids] for v in (ax, bx, cx, ay, by, cy, area))
    x0, y0, x1, y1 = x0[ids], y0[ids], x1[ids], y1[ids]
    edges = [
        (by - cy) / area,
        (cx - bx) / area,
        ((by - cy) * (x0 - cx) + (cx - bx) * (y0 - cy)) / area,
        (cy - ay) / area,
        (ax - cx) / area,
        ((cy - ay) * (x0 - ax) + (ax - cx) * (y0 - ay)) / area,
    ]
    box = (x0, y0, x1 - x0 + 1, y1 - y0 + 1)
    return ids, box, np.stack(edges, 1).astype(np.float32)


def _range(a: F64, b: F64, c: F64, size: int) -> tuple[I32, I32]:
    """Return the first and last pixel center between the least and the greatest of three."""
    first = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)), 0)
    last = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)), size - 1)
    return first.astype(np.int32), last.astype(np.int32)


def _numba_kernel() -> Callable[..., tuple[F32, I32, F32]]:
    """Return the compiled loop (the first call ever takes a second; Numba keeps it on disk)."""
    from sapiens_lab.synthetic.rendering import raster_numba

    kernel: Callable[..., tuple[F32, I32, F32]] = raster_numba.rasterize
    return kernel
