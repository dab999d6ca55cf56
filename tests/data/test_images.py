from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data.images import read_image

RED = (200, 30, 40)


@pytest.fixture
def image() -> np.ndarray:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:] = (30, 60, 90)
    pixels[:10, :10] = RED  # the upper left corner
    return pixels


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, image: np.ndarray, mode: str) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(image).convert(mode).save(path)
    pixels = read_image(path)
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    if mode in ("RGB", "RGBA"):
        assert tuple(pixels[5, 5]) == RED
    elif mode in ("L", "LA"):
        assert len(set(pixels[5, 5].tolist())) == 1


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((8, 8), 40000, np.uint16))
    assert (read_image(path) == 40000 // 256).all()


def test_the_orientation_is_applied(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    Image.fromarray(image).save(path, exif=exif, quality=95)
    pixels = read_image(path)
    assert pixels.shape == (60, 40, 3)
    assert np.abs(pixels[5, 35].astype(int) - RED).max() < 30  # the corner is now upper right


def test_a_jpeg_can_be_read_smaller(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(image).save(path)
    assert read_image(path, reduce=2).shape == (20, 30, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ValueError, match=f"half.{suffix} is truncated"):
        read_image(path)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not an image")
    with pytest.raises(ValueError, match=r"notes\.jpg"):
        read_image(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        read_image(tmp_path / "missing.jpg")
