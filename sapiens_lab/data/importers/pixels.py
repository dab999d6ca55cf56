"""Masks of labeling tools as COCO's RLE."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.images import imdecode
from sapiens_lab.data.importers.annotated import Polygon
from sapiens_lab.limits import MAX_MAP_PIXELS, check_pixels

Mask = NDArray[np.bool_]  # (H, W)


def counts_of(mask: Mask) -> list[int]:
    """Return COCO's RLE of a mask: runs of 0 and 1 in turn, down the columns, 0 first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    counts: list[int] = runs.astype(int).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def mask_of(counts: list[int], size: tuple[int, int]) -> Mask:
    """Return the mask ``(H, W)`` of COCO's RLE, whose sum is the number of pixels."""
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, np.array(counts, np.int64))
    return np.asarray(flat.reshape(size, order="F"), np.bool_)


def paste(mask: Mask, corner: tuple[float, float], size: tuple[int, int]) -> Mask:
    """Return a mask ``size`` large with another one at the upper left ``corner`` (x, y).

    Raises:
        ValueError: the corner is no number.
    """
    if not all(map(math.isfinite, corner)) or max(map(abs, corner)) > 1e6:
        raise ValueError(f"the corner of a mask is at {corner}")
    x, y = (round(value) for value in corner)
    whole = np.zeros(size, np.bool_)
    top, left = max(y, 0), max(x, 0)
    part = mask[top - y : size[0] - y, left - x : size[1] - x]
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole


def read_png_mask(content: bytes) -> Mask:
    """Return where a PNG, as tools embed them, is not 0; its alpha counts if it has one.

    Raises:
        ValueError: it is no image, or too large.
    """
    pixels = imdecode(content, cv2.IMREAD_UNCHANGED, "a mask", is_map=True)
    if pixels is None:
        raise ValueError("it is no image")
    if pixels.ndim == 3:
        pixels = pixels[..., 3] if pixels.shape[2] == 4 else pixels.max(-1)
    return np.asarray(pixels > 0)


def fill(outer: Polygon, holes: list[Polygon], size: tuple[int, int]) -> Mask:
    """Return the pixels within an outline and outside of its holes, whose borders remain."""
    check_pixels(*size, "a mask", is_map=True)
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [_corners(outer)], 1)
    inner = np.zeros(size, np.uint8)
    for hole in holes:
        cv2.fillPoly(inner, [_corners(hole)], 1)
        cv2.polylines(inner, [_corners(hole)], True, 0)
    return np.asarray((mask > 0) & (inner == 0))


def runs_to_mask(counts: list[int], size: tuple[int, int]) -> Mask:
    """Return the mask of runs of 0 and 1 in turn along the rows.

    Raises:
        ValueError: they are not as many pixels as the size has, or too many.
    """
    height, width = size
    if height < 1 or width < 1 or height * width > MAX_MAP_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels")
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"its RLE have {sum(counts)} pixels, {height} x {width} are stated")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, np.int64))
    return np.asarray(flat.reshape(size))


def _corners(polygon: Polygon) -> NDArray[np.int32]:
    points = np.array(polygon, np.float64).reshape(-1, 2)
    return np.round(np.clip(points, -1e6, 1e6)).astype(np.int32)
