from __future__ import annotations

import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data import images
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


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("is_color", [False, True])
def test_sixteen_bits_of_a_narrow_range_are_stretched_and_named_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    is_color: bool,
) -> None:
    """As a thermal camera's 7000..9040, of which the upper half is 27..35: nearly black."""
    monkeypatch.setattr(images, "_WARNED", {suffix: multiprocessing.Value("b", 0)})
    ramp = np.linspace(7000, 9040, 400).round().astype(np.uint16)
    values = np.tile(ramp, (10, 1))
    for name in "ab":
        saved = values[..., None].repeat(3, -1) if is_color else values
        cv2.imwrite(str(tmp_path / f"{name}.{suffix}"), saved)
        pixels = read_image(tmp_path / f"{name}.{suffix}")
    # 0.5 % of 400 columns are 2: columns 2 and 397 become about 0 and 255
    assert (pixels[:, :2] == 0).all()
    assert (pixels[:, 398:] == 255).all()
    middle = (ramp[200] - 7010) / (9030 - 7010) * 255
    assert pixels[5, 200].tolist() == pytest.approx([middle] * 3, abs=1)
    assert caplog.text.count("of 0..65535: stretched") == 1
    assert f"a.{suffix} uses 7010..9030" in caplog.text


def test_twelve_bits_are_not_black(tmp_path: Path) -> None:
    """The sensor's 0..4080 once became 0..15."""
    gray = np.tile(np.arange(120, dtype=np.uint16) * 34, (90, 1))
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    pixels = read_image(tmp_path / "a.png")
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) == 120


@pytest.mark.parametrize("value", [0, 3000])
def test_a_plain_image_has_no_range_to_stretch(tmp_path: Path, value: int) -> None:
    cv2.imwrite(str(tmp_path / "plain.png"), np.full((8, 8), value, np.uint16))
    assert (read_image(tmp_path / "plain.png") == value // 256).all()


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
