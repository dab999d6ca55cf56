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
    matrix = geometry.resize((40, 60), (100, 90))
    theirs = cv2.resize(image, (90, 100), interpolation=cv2.INTER_LINEAR)
    ours = geometry.warp(image, matrix, (100, 90), replicate_edge=True)
    np.testing.assert_array_equal(ours, theirs)
    # A window of it is sampled by warpAffine, whose weights are multiples of 1/32.
    window = geometry.compose(geometry.translate(-10, 0), matrix)
    ours = geometry.warp(image, window, (100, 80), replicate_edge=True)
    assert np.abs(ours.astype(int) - theirs[:, 10:].astype(int)).max() <= 2


@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_edge_is_repeated_for_half_a_pixel_or_mixed_with_the_border(
    channels: tuple[int, ...],
) -> None:
    image = np.full((2, 3, *channels), 200, np.uint8)
    # Four output pixels per pixel, from one pixel outside the left edge: their centers lie at
    # x = -1.375, -1.125, -0.875, -0.625 | -0.375, -0.125, 0.125, ...
    matrix = geometry.compose(geometry.translate(4, 0), geometry.resize((2, 3), (8, 12)))

    def row(y: int, **options: bool) -> list[int]:
        out = geometry.warp(image, matrix, (8, 8), border=0, **options)  # type: ignore[arg-type]
        return np.asarray(out[y].reshape(8, -1)[:, 0]).tolist()

    assert row(3, replicate_edge=True) == [0, 0, 0, 0, 200, 200, 200, 200]
    assert row(0, replicate_edge=True) == [0, 0, 0, 0, 200, 200, 200, 200]
    # As cv2.warpAffine: (1 - 0.375) * 200 at x = -0.375, and as much of it at y = -0.375.
    assert row(3)[3:7] == pytest.approx([200 * w for w in (0.375, 0.625, 0.875, 1)], abs=1)
    assert row(0)[6] == pytest.approx(0.625 * 200, abs=1)


def test_a_rotated_image_ends_where_its_pixels_end() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    matrix = geometry.rotate(30, np.array([14.5, 9.5]))
    border = (10, 20, 30)
    out = geometry.warp(image, matrix, (20, 30), border=border, replicate_edge=True)
    inside = geometry.warp(np.ones((20, 30), np.uint8), matrix, (20, 30), nearest=True) > 0
    assert 0 < inside.mean() < 1
    assert (out[inside] == 200).all()
    assert (out[~inside] == border).all()


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


def test_antialiasing_reaches_the_last_columns() -> None:
    """100 columns are 33 blocks of 3, and one column that no block holds."""
    image = np.full((100, 100), 200, np.uint8)
    matrix = geometry.resize((100, 100), (32, 32))
    out = geometry.warp(image, matrix, (32, 32), antialias=True, replicate_edge=True)
    assert (out == 200).all()
    assert geometry.warp(image, matrix, (32, 32), antialias=True)[:, -1].max() < 200
