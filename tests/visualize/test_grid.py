"""Grids, text and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.data.images import read_image
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, add_caption, fit_height, text_width, write_image
from sapiens_lab.visualize.view import SideBySide


def test_a_grid_holds_rows_of_different_lengths_and_widths() -> None:
    narrow, wide = np.full((10, 5, 3), 9, np.uint8), np.full((10, 20, 3), 7, np.uint8)
    sheet = grid([[narrow, wide], [narrow]], titles=("", ""), gap=2)
    assert sheet.shape == (20 + 2 * 12 + 2, 2 + 5 + 2 + 20 + 2, 3)
    assert (sheet[22:32, 2:7] == 9).all()
    assert (sheet[22:32, 9:29] == 7).all()
    assert (sheet[34:44, 9:29] == 255).all()
    with pytest.raises(ValueError, match="at least one image"):
        grid([])


def test_a_title_wider_than_its_column_widens_it() -> None:
    narrow = np.zeros((10, 5, 3), np.uint8)
    sheet = grid([[narrow, narrow]], titles=("ground truth", "x"), gap=2)
    start = 2 + text_width("ground truth", 13) + 4 + 2  # of the second column
    assert (sheet[22:32, start : start + 5] == 0).all()
    assert (sheet[:20, start - 2 : start] == 255).all()  # the first title ends before it


def test_heights_stay_between_the_bounds_and_shapes_are_kept() -> None:
    image = np.zeros((100, 80, 3), np.uint8)
    assert fit_height(image, 256, 512).shape == (256, 205, 3)
    assert fit_height(image, 64, 512).shape == (100, 80, 3)
    assert fit_height(image, 16, 50).shape == (50, 40, 3)


def test_a_caption_is_wrapped_and_never_wider_than_the_image() -> None:
    white = np.full((256, 120, 3), 255, np.uint8)
    short, long = (add_caption(white, "word " * count) for count in (1, 12))
    dark = [int((image[:, 0, 0] < 255).sum()) for image in (short, long)]
    assert dark[1] > 2.5 * dark[0] > 0
    assert (long[:, -3:] == long[-1, 0]).all(axis=(1, 2))[-dark[1] :].all()  # no letter cut off
    assert white.min() == 255


def test_images_are_written_as_they_are_and_bad_names_refused(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 250  # red
    write_image(tmp_path / "new" / "red.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "red.png"), image)
    with pytest.raises(ValueError, match=r"red\.txt: images are written as \.png or \.jpg"):
        write_image(tmp_path / "red.txt", image)
    (tmp_path / "red.png").mkdir()
    with pytest.raises(OSError, match=r"red\.png cannot be written"):
        write_image(tmp_path / "red.png", image)


def test_the_views_of_several_tasks_stand_side_by_side_with_a_gap() -> None:
    class Flat:
        titles = ("input", "ground truth", "prediction")

        def __init__(self, value: int) -> None:
            self.value = value

        def plain(self, batch: Any, index: int) -> RGBImage:
            return np.full((8, 5, 3), self.value, np.uint8)

        def target(self, batch: Any, index: int) -> RGBImage:
            return self.plain(batch, index)

        def prediction(self, batch: Any, index: int, prediction: Any) -> RGBImage:
            return np.full((8, 5, 3), prediction, np.uint8)

    view = SideBySide({"a": Flat(1), "b": Flat(2)})
    batch: Any = None  # not looked at
    assert view.plain(batch, 0)[0, :, 0].tolist() == [1] * 5
    assert view.target(batch, 0)[0, :, 0].tolist() == [1] * 5 + [255] * 4 + [2] * 5
    both = view.prediction(batch, 0, {"b": 8, "a": 7})
    assert both[0, :, 0].tolist() == [7] * 5 + [255] * 4 + [8] * 5
