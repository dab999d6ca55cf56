"""Fractions by name, as horizontal bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sapiens_lab.visualize.image import RGBImage, draw_text, text_width

_SIZE, _PITCH, _BAR, _GAP = 12, 18, 140, 8  # pixels: text, row, longest bar, space
_PER_COLUMN = 35
_COLOR, _EMPTY = (66, 133, 193), (230, 230, 230)


def bars(title: str, values: Mapping[str, float | None]) -> RGBImage:
    """Draw one bar for each value in 0..1, in columns of at most 35; ``None`` is undefined.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a bar chart needs at least one value")
    items = list(values.items())
    columns = [items[i : i + _PER_COLUMN] for i in range(0, len(items), _PER_COLUMN)]
    num_rows = len(columns[0])
    panel = np.hstack([_column(column, num_rows) for column in columns])
    head = _white(_PITCH, max(panel.shape[1], text_width(title, _SIZE) + 2 * _GAP))
    draw_text(head, title, (_GAP, _PITCH // 2), _SIZE)
    body = _white(panel.shape[0] + _GAP, head.shape[1])
    body[: panel.shape[0], : panel.shape[1]] = panel
    return np.vstack([head, body])


def _column(items: Sequence[tuple[str, float | None]], num_rows: int) -> RGBImage:
    begin = max(text_width(name, _SIZE) for name, _ in items) + 2 * _GAP
    width = begin + _BAR + text_width("0.000", _SIZE) + 3 * _GAP
    rows = [_row(name, value, begin, width) for name, value in items]
    return np.vstack([*rows, _white(_PITCH * (num_rows - len(rows)), width)])


def _row(name: str, value: float | None, begin: int, width: int) -> RGBImage:
    """Return a row whose bar begins at a column."""
    row = _white(_PITCH, width)
    draw_text(row, name, (_GAP, _PITCH // 2), _SIZE)
    if value is not None:
        bar = row[3 : _PITCH - 4, begin : begin + _BAR]
        bar[:] = _EMPTY
        bar[:, : round(min(max(value, 0.0), 1.0) * _BAR)] = _COLOR
    text = "-" if value is None else f"{value:.3f}"
    draw_text(row, text, (begin + _BAR + _GAP, _PITCH // 2), _SIZE)
    return row


def _white(height: int, width: int) -> RGBImage:
    return np.full((height, width, 3), 255, np.uint8)
