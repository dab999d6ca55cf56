"""The rasterizer's loop for Numba: the same operations in the same order as in ``raster.py``."""

from __future__ import annotations

import numba
import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, I32, I64

_NEAR_INVERSE = np.float32(1 / 0.02)  # raster.NEAR
_ONE = np.float32(1)


@numba.njit(cache=True, fastmath=False)  # type: ignore[untyped-decorator]  # numba has no types
def rasterize(
    xy: F32, inverse_z: F32, triangles: I64, height: int, width: int, cut: F32, facing: F32
) -> tuple[F32, I32, F32]:
    """Return inverse depth (0 = nothing), triangle (-1 = nothing) and corner weights."""
    best = np.zeros((height, width), np.float32)
    triangle = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        za, zb, zc = inverse_z[i], inverse_z[j], inverse_z[k]
        if max(za, zb, zc) > _NEAR_INVERSE:
            continue
        ax, ay = np.float64(xy[i, 0]), np.float64(xy[i, 1])
        bx, by = np.float64(xy[j, 0]), np.float64(xy[j, 1])
        cx, cy = np.float64(xy[k, 0]), np.float64(xy[k, 1])
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) <= 1e-9 or facing[t] * area < 0:
            continue
        x0 = int(max(np.ceil(min(ax, bx, cx)), 0))
        y0 = int(max(np.ceil(min(ay, by, cy)), 0))
        x1 = int(min(np.floor(max(ax, bx, cx)), width - 1))
        y1 = int(min(np.floor(max(ay, by, cy)), height - 1))
        if x1 < x0 or y1 < y0:
            continue
        e0 = np.float32((by - cy) / area)
        e1 = np.float32((cx - bx) / area)
        e2 = np.float32(((by - cy) * (x0 - cx) + (cx - bx) * (y0 - cy)) / area)
        e3 = np.float32((cy - ay) / area)
        e4 = np.float32((ax - cx) / area)
        e5 = np.float32(((cy - ay) * (x0 - ax) + (ax - cx) * (y0 - ay)) / area)
        ca, cb, cc = cut[i], cut[j], cut[k]
        for y in range(y0, y1 + 1):
            fy = np.float32(y - y0)
            base0, base1 = e1 * fy + e2, e4 * fy + e5
            for x in range(x0, x1 + 1):
                fx = np.float32(x - x0)
                w0 = e0 * fx + base0
                w1 = e3 * fx + base1
                w2 = _ONE - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                pa, pb, pc = w0 * za, w1 * zb, w2 * zc
                inverse = pa + pb + pc
                if inverse < best[y, x] or pa * ca + pb * cb + pc * cc < 0:
                    continue
                best[y, x] = inverse
                triangle[y, x] = t
                weights[y, x, 0] = pa / inverse
                weights[y, x, 1] = pb / inverse
                weights[y, x, 2] = pc / inverse
    return best, triangle, weights
