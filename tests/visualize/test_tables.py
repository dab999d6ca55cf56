"""Bars and confusion matrices: their colors are their values."""

from __future__ import annotations

import numpy as np
import pytest

from sapiens_lab.visualize.bars import bars
from sapiens_lab.visualize.confusion import confusion

BLUE, GRAY = (66, 133, 193), (230, 230, 230)


def count(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((image == color).all(-1).sum())


def test_a_bar_is_as_long_as_its_value_and_an_undefined_one_is_left_out() -> None:
    image = bars("PCK", {"nose": 0.25, "left_ear": 1.0, "right_ear": None})
    rows = 11  # of one bar
    assert count(image, BLUE) == rows * (35 + 140)
    assert rows * (140 - 35) <= count(image, GRAY) < rows * 140, "and a few pixels of text"
    assert image.shape[0] == 18 * 4 + 8


def test_many_bars_stand_in_columns() -> None:
    few, many = (bars("PCK", {f"point_{i:03d}": 0.5 for i in range(n)}) for n in (35, 308))
    assert many.shape == (few.shape[0], 9 * few.shape[1], 3)
    with pytest.raises(ValueError, match="at least one value"):
        bars("PCK", {})


def test_a_cell_is_as_dark_as_its_fraction_of_the_row() -> None:
    counts = np.array([[30, 10, 0], [0, 7, 0], [0, 0, 0]])
    image = confusion(counts, ("skin", "hair", "hat"))
    top, side = 2 * 26, 26
    left = image.shape[1] - 6 - max(3 * side, 170)
    corner = [[image[top + i * side, left + j * side].tolist() for j in range(3)] for i in range(3)]
    white, dark = [255, 255, 255], [16, 78, 139]
    assert corner[1] == [white, dark, white]
    assert corner[2] == [white, white, white], "no such pixel"
    assert corner[0][0] == [round(255 - 0.75 * (255 - c)) for c in dark]
    assert corner[0][1] == [round(255 - 0.25 * (255 - c)) for c in dark]
