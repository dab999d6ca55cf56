"""Images: left and right where they should be, colors that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.visualize.maps import (
    color_depth,
    color_normal,
    color_parts,
    reference_sphere,
)
from sapiens_lab.visualize.pose import draw_pose, grid

BLACK = np.zeros((120, 100, 3), np.uint8)


def pose(visible: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    skeleton = Skeleton.load("coco17")
    xy = np.full((17, 2), -50.0)
    places = {"left_wrist": (70, 60), "right_wrist": (30, 60), "nose": (50, 20)}
    seen = np.zeros(17, np.uint8)
    for name, value in visible.items():
        xy[skeleton.index(name)] = places[name]
        seen[skeleton.index(name)] = value
    return xy, seen


def test_left_is_green_and_right_is_orange() -> None:
    xy, seen = pose({"left_wrist": 2, "right_wrist": 2, "nose": 2})
    image = draw_pose(BLACK, xy, seen, skeleton=Skeleton.load("coco17"))
    assert image[60, 70].tolist() == [0, 255, 0]
    assert image[60, 30].tolist() == [255, 128, 0]
    assert image[20, 50].tolist() == [51, 153, 255]
    assert not BLACK.any()


def test_a_hidden_point_is_hollow_and_an_unlabeled_one_is_not_drawn() -> None:
    xy, seen = pose({"left_wrist": 1, "right_wrist": 0})
    large = np.zeros((600, 500, 3), np.uint8)
    image = draw_pose(large, xy * 5, seen, skeleton=Skeleton.load("coco17"))
    assert not image[300, 350].any()
    assert image[300, 340:361].any()
    assert not image[:, :250].any()


def test_parts_wear_their_colors_and_ignored_pixels_are_white() -> None:
    parts = Parts.load("goliath28")
    image = color_parts(np.array([[0, 5, 255]], np.uint8), parts)
    assert image[0, 1].tolist() == parts.colors[5].tolist()
    assert image[0, 2].tolist() == [255, 255, 255]


def test_near_is_bright() -> None:
    depth = np.linspace(1, 2, 100).reshape(1, 100)
    image = color_depth(depth, np.arange(100).reshape(1, 100) < 90).astype(int)
    brightness = image.sum(-1)[0]
    assert brightness[0] > brightness[45] > brightness[89]
    assert image[0, 95].tolist() == [100, 100, 100]
    assert color_depth(depth, np.zeros((1, 100), np.bool_)).min() == 100


def test_a_surface_that_faces_the_camera_is_light_blue() -> None:
    toward = np.array([[[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])  # also right, up
    image = color_normal(toward, np.ones((1, 3), np.bool_))[0].tolist()
    assert image == [[127, 127, 255], [255, 127, 127], [127, 255, 127]]
    ball, inside = reference_sphere(41)
    assert ball[20, 20, 2] > 250
    assert ball[20, 39, 0] > 230  # its right side points right
    assert ball[2, 20, 1] > 230  # its top points up
    assert not inside[0, 0]


def test_a_grid_holds_rows_of_different_lengths_and_widths() -> None:
    narrow, wide = np.full((10, 5, 3), 9, np.uint8), np.full((10, 20, 3), 7, np.uint8)
    sheet = grid([[narrow, wide], [narrow]], titles=("a", "b"), gap=2)
    assert sheet.shape == (20 + 2 * 12 + 2, 2 + 5 + 2 + 20 + 2, 3)
    assert (sheet[22:32, 2:7] == 9).all()
    assert (sheet[22:32, 9:29] == 7).all()
    assert (sheet[34:44, 9:29] == 255).all()
    with pytest.raises(ValueError, match="at least one image"):
        grid([])
