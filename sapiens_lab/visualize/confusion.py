"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.visualize.image import RGBImage, draw_text, text_width

_SIZE, _CELL, _GAP = 11, 26, 6  # pixels: text, cell, space
_DARK = np.array([16, 78, 139], np.float64)  # of a fraction of 1
_PALE = 0.005  # fractions that are not written
_LIGHT_TEXT = (255, 255, 255)


def confusion(counts: NDArray[np.integer], names: Sequence[str]) -> RGBImage:
    """Draw the fraction of each true class (row) that was predicted as each class (column).

    Percents stand in the cells; a row without a pixel stays white.

    Args:
        counts: ``(C, C)``, rows are the ground truth.
        names: of the ``C`` classes.
    """
    total = counts.sum(1, keepdims=True)
    fractions = counts / np.maximum(total, 1)
    numbers = [f"{i}" for i in range(len(names))]
    labels = [f"{number} {name}" for number, name in zip(numbers, names, strict=True)]
    left = 2 * _GAP + max(text_width(label, _SIZE) for label in labels)
    top = 2 * _CELL
    side = _CELL * len(names)
    sheet = np.full((top + side + _GAP, left + max(side, 170) + _GAP, 3), 255, np.uint8)
    draw_text(sheet, "rows: ground truth, columns: prediction [%]", (_GAP, _CELL // 2), _SIZE)
    for i, label in enumerate(labels):
        middle = i * _CELL + _CELL // 2
        draw_text(sheet, label, (_GAP, top + middle), _SIZE)
        draw_text(sheet, numbers[i], (left + middle - _half(numbers[i]), top - _CELL // 2), _SIZE)
        for j in range(len(names)):
            _draw_cell(sheet, float(fractions[i, j]), (left + j * _CELL, top + i * _CELL))
    return sheet


def _draw_cell(sheet: RGBImage, fraction: float, corner: tuple[int, int]) -> None:
    x, y = corner
    cell = sheet[y : y + _CELL - 1, x : x + _CELL - 1]
    cell[:] = np.round(255 - fraction * (255 - _DARK)).astype(np.uint8)
    if fraction >= _PALE:
        text = f"{100 * fraction:.0f}"
        color = _LIGHT_TEXT if fraction > 0.5 else (40, 40, 40)
        draw_text(cell, text, (_CELL // 2 - _half(text), _CELL // 2), _SIZE, color)


def _half(text: str) -> int:
    return text_width(text, _SIZE) // 2
