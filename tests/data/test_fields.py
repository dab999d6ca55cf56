from __future__ import annotations

import io

import cv2
import numpy as np
import PIL.Image
import pytest

from sapiens_lab import geometry
from sapiens_lab.data import images
from sapiens_lab.data.fields import DepthMap, EncodedImage, Image, Keypoints, LabelMap, NormalMap

SIZE = (40, 30)
FLIP = geometry.flip((SIZE[1] - 1) / 2)
PAIRS = np.array([0, 2, 1])


def _points() -> Keypoints:
    xy = np.array([[3, 4], [10, 20], [25, 21]], np.float32)
    visible = np.array([2, 1, 0], np.uint8)
    return Keypoints(xy=xy, visible=visible, flip_indices=PAIRS)


def _labels() -> LabelMap:
    ids = np.zeros(SIZE, np.uint8)
    ids[10:20, 2:10], ids[10:20, 20:28] = 1, 2
    return LabelMap(ids=ids, flip_indices=PAIRS)


def _normals() -> NormalMap:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(*SIZE, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return NormalMap(normal=normal, valid=rng.random(SIZE) > 0.2)


def test_a_flip_swaps_left_and_right_points() -> None:
    flipped = _points().warp(FLIP, SIZE)
    # point 1 is now where point 2 was, seen from the other side, and brings its visibility along
    assert flipped.xy.tolist() == [[26, 4], [4, 21], [19, 20]]
    assert flipped.visible.tolist() == [2, 0, 1]


def test_a_flip_swaps_left_and_right_classes() -> None:
    labels = _labels()
    flipped = labels.warp(FLIP, SIZE)
    assert flipped.ids[15, 5] == 1
    np.testing.assert_array_equal(flipped.ids, PAIRS[labels.ids[:, ::-1]])


def test_a_flip_negates_x_of_normals() -> None:
    normals = _normals()
    flipped = normals.warp(FLIP, SIZE)
    np.testing.assert_allclose(flipped.normal, normals.normal[:, ::-1] * [-1, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(flipped.valid, normals.valid[:, ::-1])


def test_flipping_twice_changes_nothing() -> None:
    for field in (_points(), _labels(), _normals()):
        twice = field.warp(FLIP, SIZE).warp(FLIP, SIZE)
        for name in ("xy", "visible", "ids", "normal", "valid"):
            if hasattr(field, name):
                np.testing.assert_allclose(getattr(twice, name), getattr(field, name), atol=1e-5)


def test_a_quarter_turn_turns_normals() -> None:
    normal = np.zeros((*SIZE, 3), np.float32)
    normal[..., 0] = 1  # toward the right of the image
    field = NormalMap(normal=normal, valid=np.ones(SIZE, np.bool_))
    turned = field.warp(geometry.rotate(90, np.array([14.5, 19.5])), SIZE)
    np.testing.assert_allclose(turned.normal[20, 15], [0, 1, 0], atol=1e-6)  # now toward its foot


def test_scaling_keeps_normals_unit_and_depth_in_its_unit() -> None:
    zoom = geometry.scale(2.0, np.array([14.5, 19.5]))
    normals = _normals().warp(zoom, SIZE)
    lengths = np.linalg.norm(normals.normal, axis=-1)[normals.valid]
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    depth = DepthMap(depth=np.full(SIZE, 3.0, np.float32), valid=np.ones(SIZE, np.bool_))
    assert depth.warp(zoom, SIZE).depth[20, 15] == 3.0


def test_what_lies_outside_is_invalid_ignored_or_border() -> None:
    away = geometry.translate(15, 0)
    assert (_labels().warp(away, SIZE).ids[:, :14] == 255).all()
    assert not _normals().warp(away, SIZE).valid[:, :14].any()
    image = Image(pixels=np.full((*SIZE, 3), 9, np.uint8), border=(1, 2, 3))
    assert image.warp(away, SIZE).pixels[0, 0].tolist() == [1, 2, 3]
    moved = _points().warp(geometry.translate(1000, 0), SIZE)
    assert moved.xy[0, 0] == 1003  # points keep their true place


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_invalid_whatever_its_mask_says(bad: float) -> None:
    depth, normal = np.ones(SIZE, np.float32), _normals().normal
    depth[3, 4] = normal[5, 6, 1] = bad
    everywhere = np.ones(SIZE, np.bool_)
    arrays = {
        **DepthMap(depth=depth, valid=everywhere).arrays("depth"),
        **NormalMap(normal=normal, valid=everywhere).arrays("normal"),
    }
    for name, pixel in (("depth", (3, 4)), ("normal", (5, 6))):
        valid = arrays[f"{name}_valid"]
        assert valid.shape == (1, *SIZE)
        assert (valid.sum(), valid[0][pixel]) == (SIZE[0] * SIZE[1] - 1, False)
        assert arrays[name].dtype == np.float32
        assert (arrays[name][(slice(None), *pixel)] == 0).all()
        assert np.isfinite(arrays[name]).all()


@pytest.mark.parametrize(
    "field",
    [
        Keypoints(xy=np.zeros((2, 2), np.float32), visible=np.ones(2, np.uint8), flip_indices=None),
        LabelMap(ids=np.zeros(SIZE, np.uint8), flip_indices=None),
    ],
)
def test_flipping_without_pairs_is_refused(field: Keypoints | LabelMap) -> None:
    with pytest.raises(ValueError, match="left/right pairs are not known"):
        field.warp(FLIP, SIZE)


def input_image(size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (size[0] // 40 + 1, size[1] // 40 + 1, 3)).astype(np.uint8)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(256, 320), (251, 317)])
@pytest.mark.parametrize("shrink", [1.0, 2.5, 4.0, 9.0])
def test_an_image_decoded_small_shows_the_same(size: tuple[int, int], shrink: float) -> None:
    pixels = input_image(size)
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    target = (24, 24)
    matrix = geometry.compose(
        np.array([[1 / shrink, 0, 0.3], [0, 1 / shrink, -0.2]]),
        geometry.rotate(20, np.array([160.0, 120.0])),
    )
    encoded = EncodedImage(content=content, name="x.jpg", size=size)
    found = encoded.warp(matrix, target, antialias=True).pixels.astype(float)
    whole = Image(pixels=encoded.pixels).warp(matrix, target, antialias=True).pixels.astype(float)
    # Decoding shrinks by whole blocks of 2, 4 or 8, the other way by any whole number.
    inside = np.s_[4:-4, 4:-4] if shrink < 9 else np.s_[8:-8, 8:-8]
    assert np.abs(found - whole)[inside].mean() < 3


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_image_decoded_small_is_turned_too(orientation: int) -> None:
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(input_image((240, 320))).save(file, "JPEG", exif=exif, quality=95)
    size = images.size_of(file.getvalue(), "x.jpg")
    assert size == ((240, 320) if orientation == 3 else (320, 240))
    encoded = EncodedImage(content=file.getvalue(), name="x.jpg", size=size)
    target = (size[0] // 4, size[1] // 4)
    matrix = geometry.resize(size, target)
    found = encoded.warp(matrix, target, antialias=True).pixels.astype(float)
    whole = Image(pixels=encoded.pixels).warp(matrix, target, antialias=True).pixels.astype(float)
    assert np.abs(found - whole).mean() < 2


def test_an_image_is_decoded_as_small_as_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    decode = images.decode

    def spy(content: bytes, name: str, *, reduce: int = 1) -> np.ndarray:
        asked.append(reduce)
        return decode(content, name, reduce=reduce)

    monkeypatch.setattr(images, "decode", spy)
    jpeg = cv2.imencode(".jpg", input_image((128, 128)))[1].tobytes()
    png = cv2.imencode(".png", input_image((128, 128)))[1].tobytes()
    for content in (jpeg, png):
        image = EncodedImage(content=content, name="x", size=(128, 128))
        for side in (128, 65, 64, 33, 16, 4):
            image.warp(geometry.resize((128, 128), (side, side)), (side, side), antialias=True)
        image.warp(geometry.resize((128, 128), (16, 16)), (16, 16))
    assert asked == [1, 1, 2, 2, 8, 8, 1] + [1] * 7
