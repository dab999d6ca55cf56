"""One curve over a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sapiens_lab.visualize.image import INK, RGBImage, draw_text, text_width

_SIZE, _PITCH = 12, 18  # pixels of text
_LEFT, _TOP, _WIDTH, _HEIGHT = 70, 30, 480, 280  # of the plot
_LINE, _MARK, _GRID = (31, 119, 180), (214, 39, 40), (225, 225, 225)


def curve(
    x: Sequence[float], y: Sequence[float], *, marked: float | None = None, title: str = ""
) -> RGBImage:
    """Draw ``y`` over ``log10(x)``, with a vertical line at one ``x``.

    Args:
        x: positive and increasing.
        y: as many, finite; the axis ends at twice the range below its first value.
        marked: where the line is.
        title: over the plot.

    Raises:
        ValueError: there are fewer than two points.
    """
    if len(x) < 2:
        raise ValueError("a curve needs at least two points")
    low = min(y)
    high = max(y[0], low + 2 * (y[0] - low)) if y[0] > low else max(y)
    high = high if high > low else low + 1
    begin, end = math.log10(x[0]), math.log10(x[-1])
    image = np.full((_TOP + _HEIGHT + 2 * _PITCH, _LEFT + _WIDTH + 30, 3), 255, np.uint8)

    def place(a: float, b: float) -> tuple[int, int]:
        right = (math.log10(a) - begin) / (end - begin)
        up = (min(b, high) - low) / (high - low)
        return _LEFT + round(right * _WIDTH), _TOP + _HEIGHT - round(up * _HEIGHT)

    for power in range(math.ceil(begin), math.floor(end) + 1):
        column, _ = place(10.0**power, low)
        image[_TOP : _TOP + _HEIGHT, column] = _GRID
        text = f"1e{power}"
        draw_text(image, text, (column - text_width(text, _SIZE) // 2, _TOP + _HEIGHT + 10), _SIZE)
    for value in np.linspace(low, high, 5):
        _, row = place(x[0], float(value))
        image[row, _LEFT : _LEFT + _WIDTH] = _GRID
        draw_text(image, f"{value:.3g}", (6, row), _SIZE)
    points = np.array([place(a, b) for a, b in zip(x, y, strict=True)], np.int32)
    cv2.polylines(image, [points], False, _LINE, 2, cv2.LINE_AA)
    if marked is not None:
        column, _ = place(marked, low)
        image[_TOP : _TOP + _HEIGHT, column : column + 2] = _MARK
        draw_text(image, f"{marked:.1e}", (column + 6, _TOP + 10), _SIZE, _MARK)
    draw_text(image, title, (_LEFT, _TOP // 2), _SIZE, INK)
    return image
