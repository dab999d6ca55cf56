"""2x3 affine matrices in pixel coordinates, and the one function that samples pixels through them.

Every geometric change of a sample is a product of these matrices, so pixels, points and vectors
are moved once and by the same numbers. Integer coordinates are pixel centers: an image of width
``W`` spans ``-0.5 .. W - 0.5``, flips by ``x -> W - 1 - x`` and resizes by
``x -> (x + 0.5) * s - 0.5``. Points are ``(x, y)``, sizes ``(height, width)``, boxes ``xyxy``;
``y`` points down, so a positive angle turns clockwise on the screen.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float64]  # (2, 3), maps (x, y, 1) to (x', y')
Array: TypeAlias = NDArray[Any]


def identity() -> Matrix:
    """Return the matrix that moves nothing."""
    return np.eye(2, 3)


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """Return the matrix that applies ``inner`` first and ``outer`` second."""
    return np.asarray(outer @ np.vstack([inner, (0.0, 0.0, 1.0)]))


def invert(matrix: Matrix) -> Matrix:
    """Return the inverse; raises ``numpy.linalg.LinAlgError`` if the matrix flattens the plane."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def apply(matrix: Matrix, xy: Array) -> NDArray[np.float64]:
    """Move points ``(..., 2)``; computed and returned in float64."""
    return np.asarray(np.asarray(xy, np.float64) @ matrix[:, :2].T + matrix[:, 2])


def translate(x: float, y: float) -> Matrix:
    """Return a shift by ``(x, y)`` pixels."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def rotate(angle_deg: float, center: Array) -> Matrix:
    """Return a rotation about ``center (2,)``, clockwise on the screen for a positive angle."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return _about(np.array([[c, -s], [s, c]]), center)


def scale(factor: float, center: Array) -> Matrix:
    """Return an enlargement by ``factor`` that keeps ``center (2,)`` in place."""
    return _about(np.diag([factor, factor]), center)


def flip(center_x: float) -> Matrix:
    """Return the left-right reflection about the vertical line ``x = center_x``."""
    return np.array([[-1.0, 0.0, 2 * center_x], [0.0, 1.0, 0.0]])


def resize(source: tuple[int, int], target: tuple[int, int]) -> Matrix:
    """Return the half-pixel-center resize from size ``source`` to ``target``, both (height, width).

    This is what ``cv2.resize`` and ``F.interpolate(align_corners=False)`` do.
    """
    sy, sx = target[0] / source[0], target[1] / source[1]
    return np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5]])


def crop(bbox: Array, size: tuple[int, int]) -> Matrix:
    """Return the unbiased (UDP) crop that lays the box's edges on the outer pixel centers.

    Huang et al., "The Devil is in the Details", CVPR 2020, section 3: the unit of length is the
    gap between pixels, so a box of width ``w`` becomes ``size[1] - 1`` gaps.
    """
    x1, y1, x2, y2 = (float(v) for v in bbox)
    sx, sy = (size[1] - 1) / (x2 - x1), (size[0] - 1) / (y2 - y1)
    return np.array([[sx, 0.0, -sx * x1], [0.0, sy, -sy * y1]])


def is_flip(matrix: Matrix) -> bool:
    """Tell whether left and right change places."""
    return bool(np.linalg.det(matrix[:, :2]) < 0)


def rotation_part(matrix: Matrix) -> NDArray[np.float64]:
    """Return the orthogonal ``(2, 2)`` matrix nearest to the linear part (polar decomposition).

    It holds the rotation and, with determinant -1, the flip, but no scale: what directions need.
    """
    u, _, vt = np.linalg.svd(matrix[:, :2])
    return np.asarray(u @ vt)


def bbox_center(bbox: Array) -> NDArray[np.float64]:
    """Return the center ``(2,)`` of a box ``(4,)`` xyxy."""
    box = np.asarray(bbox, np.float64)
    return (box[:2] + box[2:]) / 2


def bbox_around(center: Array, extent: Array) -> NDArray[np.float32]:
    """Return the box xyxy of (width, height) ``extent (2,)`` about ``center (2,)``."""
    half = np.asarray(extent, np.float64) / 2
    return np.concatenate([center - half, center + half]).astype(np.float32)


def grow_to_aspect(bbox: Array, aspect: float) -> NDArray[np.float32]:
    """Grow one side of a box about its center until width / height equals ``aspect``."""
    w, h = (float(v) for v in np.asarray(bbox[2:], np.float64) - np.asarray(bbox[:2], np.float64))
    extent = (w, w / aspect) if w > aspect * h else (h * aspect, h)
    return bbox_around(bbox_center(bbox), np.array(extent))


def warp(
    pixels: Array,
    matrix: Matrix,
    size: tuple[int, int],
    *,
    nearest: bool = False,
    border: float | tuple[float, ...] = 0,
    antialias: bool = False,
    replicate_edge: bool = False,
) -> Array:
    """Sample an image through a matrix: output pixel ``matrix @ p`` shows input pixel ``p``.

    A pixel is a square: the image ends half a pixel beyond its outer pixel centers. In that half
    pixel, bilinear sampling mixes the border in, as ``cv2.warpAffine`` does and therefore the
    official pose crop, or repeats the edge, as ``cv2.resize`` does and the official dense recipes.

    Args:
        pixels: ``(H, W)`` or ``(H, W, C <= 4)``, uint8 or float32.
        matrix: source to output.
        size: output (height, width).
        nearest: take the nearest pixel instead of the bilinear mean of four.
        border: value outside the source.
        antialias: average whole blocks first where the matrix shrinks by two or more; plain
            bilinear sampling, which the official pipeline uses, would skip pixels there.
        replicate_edge: repeat the edge in the half pixel around the source.

    Returns:
        Array of the input's dtype, ``(height, width)`` or ``(height, width, C)``.
    """
    if antialias and (factor := int(1 / max_scale(matrix) + 1e-6)) >= 2:
        if replicate_edge:
            pixels = _fill_blocks(pixels, factor)
        pixels, block = _shrink(pixels, factor)
        matrix = compose(matrix, invert(block))
    if replicate_edge and not nearest:
        return _warp_replicated(pixels, matrix, size, border)
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return _warp_affine(pixels, matrix, size, flags=flags, borderValue=_four(border))


def max_scale(matrix: Matrix) -> float:
    """Return the largest factor by which the matrix stretches a length."""
    return float(np.linalg.norm(matrix[:, :2], ord=2))


def _about(linear: Array, center: Array) -> Matrix:
    c = np.asarray(center, np.float64)
    return np.hstack([linear, (c - linear @ c)[:, None]])


def _warp_replicated(
    pixels: Array, matrix: Matrix, size: tuple[int, int], border: float | tuple[float, ...]
) -> Array:
    height, width = pixels.shape[:2]
    if np.allclose(matrix, resize((height, width), size), rtol=0, atol=1e-9):
        return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR))
    out = _warp_affine(
        pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    corners = np.array([(x, y) for x in (0, size[1] - 1) for y in (0, size[0] - 1)])
    middle = np.array([width - 1, height - 1]) / 2
    distance = np.abs(apply(invert(matrix), corners) - middle)  # source pixels
    if (distance <= middle + 0.5).all():
        return out
    inside = _warp_affine(np.ones((height, width), np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    outside = np.zeros_like(out)
    if any(_four(border)):
        outside[:] = border if out.ndim == 2 else _four(border)[: out.shape[2]]
    return np.asarray(cv2.copyTo(out, inside, outside))


def _warp_affine(pixels: Array, matrix: Matrix, size: tuple[int, int], **options: Any) -> Array:
    return np.asarray(cv2.warpAffine(pixels, matrix, size[::-1], **options))  # (w, h) in cv2


def _four(border: float | tuple[float, ...]) -> tuple[float, ...]:
    return border if isinstance(border, tuple) else (border,) * 4


def _fill_blocks(pixels: Array, factor: int) -> Array:
    """Repeat the right and lower edge until the sides are multiples of ``factor``."""
    bottom, right = -pixels.shape[0] % factor, -pixels.shape[1] % factor
    if not bottom and not right:
        return pixels
    return np.asarray(cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE))


def _shrink(pixels: Array, factor: int) -> tuple[Array, Matrix]:
    """Average ``factor`` x ``factor`` blocks; a remainder at the right and bottom is dropped."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    if min(height, width) == 0:
        return pixels, identity()
    whole = pixels[: height * factor, : width * factor]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return small, resize((height * factor, width * factor), (height, width))
