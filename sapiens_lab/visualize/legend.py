"""Keys beside an image: which color is which class, and which color is how many meters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.visualize.image import RGBImage, draw_text, font_size, text_width


def class_legend(
    names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    height: int,
    *,
    all_names: Sequence[str] = (),
) -> RGBImage:
    """Return a panel ``(height, W, 3)`` with a colored square and a name for each class.

    Args:
        names: from top to bottom; those that do not fit below each other fill further columns.
        colors: of the squares.
        height: rows of the panel.
        all_names: the whole list, so that the columns of all its legends are equally wide.
    """
    size = font_size(height)
    room = height - size // 2
    pitch = min(max(room // max(len(names), 1), size + 1), round(1.35 * size))  # rows per name
    per_column = max(1, room // pitch)
    starts = range(0, max(len(names), 1), per_column)
    columns = [names[start : start + per_column] for start in starts]
    text_left = 2 * size
    width = text_left + max(text_width(name, size) for name in ("", *all_names, *names))
    panel = np.full((height, (width + size) * len(columns), 3), 255, np.uint8)
    left = size // 2
    for start, column in zip(starts, columns, strict=True):
        for row, name in enumerate(column):
            middle = size // 4 + pitch * row + pitch // 2
            square = panel[middle - size // 2 : middle + size // 2, left : left + size]
            square[:] = 128  # a thin frame: some classes are white
            square[1:-1, 1:-1] = colors[start + row]
            draw_text(panel, name, (left + size + size // 2, middle), size)
        left += width + size
    return panel


def color_bar(colors: NDArray[np.uint8], labels: Sequence[str], height: int) -> RGBImage:
    """Return a panel ``(height, W, 3)`` with a bar and labels evenly along it.

    Args:
        colors: ``(N, 3)`` from the top of the bar to its bottom.
        labels: from top to bottom.
        height: rows of the panel.
    """
    size = font_size(height)
    left, width = size // 2, size
    text_left = left + width + size // 2
    panel = np.full((height, text_left + max(text_width(t, size) for t in labels) + 2, 3), 255)
    panel = panel.astype(np.uint8)
    rows = np.linspace(0, len(colors) - 1, height - 2 * size).round().astype(int)
    panel[size : height - size, left : left + width] = colors[rows][:, None]
    for place, label in zip(np.linspace(size, height - size, len(labels)), labels, strict=True):
        draw_text(panel, label, (text_left, round(place)), size)
    return panel
