from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data.datasets.normal_maps import NormalMaps, to_our_frame

SIZE = (32, 24)


def ball() -> tuple[np.ndarray, np.ndarray]:
    """The near half of a ball: normals in our frame ``(H, W, 3)``, and its mask."""
    y, x = np.indices(SIZE, dtype=np.float32)
    x, y = (x - 11.5) / 10, (y - 15.5) / 10
    mask = x**2 + y**2 < 1
    z = -np.sqrt(np.where(mask, 1 - x**2 - y**2, 0))
    normal = np.stack([x, y, z], -1).astype(np.float32)
    return np.where(mask[..., None], normal, 0), mask


NORMAL, MASK = ball()
OPENGL = NORMAL * np.array([1, -1, -1], np.float32)


def save(root: Path, stored: np.ndarray, *, suffix: str = "npy", mask: bool = True) -> None:
    for folder in ("images", "normals", *(["masks"] if mask else [])):
        (root / folder / "train").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1]).save(root / "images/train/a.png")
    if mask:
        Image.fromarray(MASK).save(root / "masks/train/a.png")
    path = root / f"normals/train/a.{suffix}"
    if suffix == "npy":
        np.save(path, stored)
    else:
        cv2.imwrite(str(path), stored[..., ::-1])


def load(root: Path, **options: Any) -> NormalMaps:
    return NormalMaps(root, split="train", **options)


def rgb(normal: np.ndarray, levels: int, dtype: type) -> np.ndarray:
    return np.round((normal + 1) / 2 * levels).astype(dtype)


@pytest.mark.parametrize(
    ("stored", "suffix", "options"),
    [
        (NORMAL, "npy", {}),
        (NORMAL.astype(np.float64) * 1.02, "npy", {"encoding": "npy"}),
        (OPENGL, "npy", {"frame": "opengl"}),
        (NORMAL[..., ::-1], "npy", {"axis_order": "zyx"}),
        (OPENGL[..., ::-1], "npy", {"axis_order": "zyx", "frame": "opengl"}),
        (NORMAL, "tiff", {}),
        (rgb(OPENGL, 255, np.uint8), "png", {"frame": "opengl"}),
        (rgb(NORMAL, 255, np.uint8), "png", {"encoding": "rgb8"}),
        (rgb(OPENGL, 65535, np.uint16), "png", {"frame": "opengl", "encoding": "rgb16"}),
        (rgb(NORMAL, 255, np.uint8), "npy", {}),
    ],
)
def test_every_format_gives_our_frame(
    tmp_path: Path, stored: np.ndarray, suffix: str, options: dict[str, str]
) -> None:
    save(tmp_path, stored, suffix=suffix)
    sample = load(tmp_path, **options)[0]
    assert sample.normal is not None
    np.testing.assert_array_equal(sample.normal.valid, MASK)
    normal = sample.normal.normal
    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal[MASK], NORMAL[MASK], atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(normal[MASK], axis=-1), 1, rtol=1e-5)
    assert (normal[~MASK] == 0).all()
    rows, columns = np.nonzero(MASK)
    assert sample.bbox.tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_the_frames_by_hand() -> None:
    stored = np.array([[0.1, 0.2, 0.3]], np.float32)
    for frame, axis_order, expected in (
        ("opencv", "xyz", [0.1, 0.2, 0.3]),
        ("opengl", "xyz", [0.1, -0.2, -0.3]),
        ("opencv", "zyx", [0.3, 0.2, 0.1]),
        ("opengl", "zyx", [0.3, -0.2, -0.1]),
    ):
        ours = to_our_frame(stored, frame=frame, axis_order=axis_order)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours[0], expected)


@pytest.mark.parametrize("background", [0.0, 0.001, np.nan])
def test_without_masks_zero_vectors_are_invalid(tmp_path: Path, background: float) -> None:
    save(tmp_path, np.where(MASK[..., None], NORMAL, background), mask=False)
    sample = load(tmp_path)[0]
    assert sample.normal is not None
    np.testing.assert_array_equal(sample.normal.valid, MASK)
    assert np.isfinite(sample.normal.normal).all()
    assert sample.bbox.tolist() == [0, 0, 23, 31]


@pytest.mark.parametrize("gray", [0, 128])
def test_without_masks_black_and_mid_gray_are_invalid(tmp_path: Path, gray: int) -> None:
    stored = rgb(NORMAL, 255, np.uint8)
    stored[~MASK] = gray
    save(tmp_path, stored, suffix="png", mask=False)
    sample = load(tmp_path)[0]
    assert sample.normal is not None
    np.testing.assert_array_equal(sample.normal.valid, MASK)


@pytest.mark.parametrize(
    ("stored", "options", "fitting"),
    [
        (NORMAL, {"frame": "opengl"}, "frame=opencv axis_order=xyz would make it 100%"),
        (OPENGL, {"frame": "opencv"}, "frame=opengl axis_order=xyz would make it 100%"),
        (OPENGL[..., ::-1], {"axis_order": "zyx"}, "frame=opengl axis_order=zyx"),
    ],
)
def test_a_surface_seen_from_behind_names_the_frame_that_fits(
    tmp_path: Path, stored: np.ndarray, options: dict[str, str], fitting: str
) -> None:
    save(tmp_path, stored)
    with pytest.raises(ValueError, match=f"only 0%.*{fitting}"):
        load(tmp_path, on_error="skip", **options)


def test_an_axis_order_that_outlines_contradict_is_refused(tmp_path: Path) -> None:
    tilted = NORMAL @ np.array([[0.96, 0, -0.28], [0, 1, 0], [0.28, 0, 0.96]], np.float32)
    save(tmp_path, tilted)
    with pytest.raises(ValueError, match=r"with .*axis_order=zyx, .*=opencv axis_order=xyz fits"):
        load(tmp_path, axis_order="zyx")


def test_a_doubtful_axis_order_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where all pixels count there is no outline, and only the viewing axis tells."""
    y, x = np.indices(SIZE, dtype=np.float32)
    wall = np.stack([-0.3 + 0.3 * np.sin(x / 3), 0.3 * np.sin(y / 3), np.full(SIZE, -0.9)], -1)
    wall /= np.linalg.norm(wall, axis=-1, keepdims=True)
    save(tmp_path, wall.astype(np.float32), mask=False)
    load(tmp_path)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        load(tmp_path, axis_order="zyx")
    assert "frame=opencv axis_order=xyz fits" in caplog.text


@pytest.mark.parametrize(
    ("stored", "suffix", "options", "message"),
    [
        ((NORMAL + 1) / 2, "npy", {}, r"not of unit length.*No number is negative"),
        (NORMAL * 0.3, "npy", {}, r"their median length is 0\.30"),
        (NORMAL[..., :2], "npy", {}, r"a\.npy has the shape \(32, 24, 2\)"),
        (NORMAL[:-1], "npy", {}, r"a\.npy is 31 x 24.*a\.png is 32 x 24"),
        (NORMAL * 0, "npy", {}, r"a\.npy has no valid pixel: all are zero"),
        (rgb(NORMAL, 255, np.uint8), "png", {"encoding": "rgb16"}, r"a\.png holds uint8.*rgb8"),
        (NORMAL, "npy", {"encoding": "rgb8"}, r"a\.npy holds float32.*encoding=npy"),
        (NORMAL.astype(np.int32), "npy", {}, r"a\.npy holds int32"),
        (NORMAL, "npy", {"frame": "blender"}, "frame='blender'"),
        (NORMAL, "npy", {"axis_order": "xyw"}, "axis_order='xyw'"),
    ],
)
def test_faults_are_named_before_the_first_step(
    tmp_path: Path, stored: np.ndarray, suffix: str, options: dict[str, Any], message: str
) -> None:
    save(tmp_path, stored, suffix=suffix)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **options)
