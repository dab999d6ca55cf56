"""Images in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sapiens_lab.visualize.image import RGBImage, draw_text, text_width

_HEADER, _TITLE_SIZE = 20, 13  # rows over the images; size of the text in them


def grid(
    rows: Sequence[Sequence[RGBImage]], *, titles: Sequence[str] = (), gap: int = 4
) -> RGBImage:
    """Lay images of one height out in rows, with a title over each column.

    Args:
        rows: images ``(H, W, 3)``; a row may be shorter than the others.
        titles: one per column; none leaves the header out.
        gap: white pixels between the images.

    Raises:
        ValueError: there is nothing to show.
    """
    if not rows or not rows[0]:
        raise ValueError("a grid needs at least one image")
    height = rows[0][0].shape[0]
    columns = range(max(len(row) for row in rows))
    widths = [max(row[j].shape[1] for row in rows if j < len(row)) for j in columns]
    for j, title in zip(columns, titles, strict=False):
        widths[j] = max(widths[j], text_width(title, _TITLE_SIZE) + 4)
    lefts = [gap + sum(widths[:j]) + j * gap for j in columns]
    head = _HEADER if titles else 0
    sheet = np.full(
        (head + len(rows) * (height + gap) + gap, lefts[-1] + widths[-1] + gap, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        for left, image in zip(lefts, row, strict=False):
            top = head + gap + i * (height + gap)
            sheet[top : top + height, left : left + image.shape[1]] = image
    for left, title in zip(lefts, titles, strict=False):
        draw_text(sheet, title, (left + 2, head // 2 + 2), _TITLE_SIZE)
    return sheet
