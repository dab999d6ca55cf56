from __future__ import annotations

import cv2
import numpy as np
import pytest

from sapiens_lab import geometry


def test_compose_applies_the_inner_matrix_first() -> None:
    shift_then_double = geometry.compose(
        geometry.scale(2, np.zeros(2)), geometry.translate(1.0, 0.0)
    )
    assert geometry.apply(shift_then_double, np.array([3.0, 4.0])).tolist() == [8.0, 8.0]


def test_invert_undoes() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(2, 3))
    points = rng.normal(size=(7, 2)) * 100
    back = geometry.apply(geometry.invert(matrix), geometry.apply(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_rotate_turns_clockwise_on_the_screen() -> None:
    # y points down: a quarter turn carries the point to the right of the center below it
    turned = geometry.apply(geometry.rotate(90, np.array([5.0, 5.0])), np.array([7.0, 5.0]))
    np.testing.assert_allclose(turned, [5.0, 7.0], atol=1e-12)


def test_flip_about_the_middle_reverses_columns() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    out = geometry.warp(image, geometry.flip((4 - 1) / 2), (3, 4))
    np.testing.assert_array_equal(out, image[:, ::-1])


def test_crop_lays_edges_on_the_outer_pixel_centers() -> None:
    matrix = geometry.crop(np.array([10.0, 20.0, 40.0, 80.0]), (61, 31))
    corners = geometry.apply(matrix, np.array([[10.0, 20.0], [40.0, 80.0]]))
    np.testing.assert_allclose(corners, [[0, 0], [30, 60]], atol=1e-9)


def test_resize_is_what_opencv_does() -> None:
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 255, (40, 60, 3)).astype(np.uint8), (9, 9), 3)
    ours = geometry.warp(image, geometry.resize((40, 60), (100, 90)), (100, 90))
    theirs = cv2.resize(image, (90, 100), interpolation=cv2.INTER_LINEAR)
    inside = np.s_[5:-5, 5:-5]  # warpAffine blends the border color in, resize repeats the edge
    assert np.abs(ours[inside].astype(int) - theirs[inside].astype(int)).max() <= 2


@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
def test_grow_to_aspect_only_grows(size: tuple[int, int]) -> None:
    box = np.array([10.0, 10.0, 10.0 + size[0], 10.0 + size[1]], np.float32)
    grown = geometry.grow_to_aspect(box, 0.75)
    width, height = grown[2:] - grown[:2]
    assert width / height == pytest.approx(0.75)
    assert width >= size[0] - 1e-3
    assert height >= size[1] - 1e-3
    np.testing.assert_allclose(geometry.bbox_center(grown), geometry.bbox_center(box))


def test_rotation_part_has_no_scale() -> None:
    matrix = geometry.compose(geometry.scale(3, np.zeros(2)), geometry.rotate(30, np.zeros(2)))
    np.testing.assert_allclose(
        geometry.rotation_part(matrix), geometry.rotate(30, np.zeros(2))[:, :2], atol=1e-12
    )
    assert geometry.is_flip(geometry.compose(matrix, geometry.flip(3.0)))
    assert not geometry.is_flip(matrix)


def test_antialiasing_averages_blocks() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200  # every second column: bilinear sampling at a half sees one of the two
    matrix = geometry.resize((64, 64), (16, 16))
    smooth = geometry.warp(stripes, matrix, (16, 16), antialias=True)
    np.testing.assert_array_equal(smooth, np.full((16, 16), 100))
