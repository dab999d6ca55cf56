from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data import arrays
from sapiens_lab.data.arrays import read_map
from sapiens_lab.data.checks import depth as checks
from sapiens_lab.data.datasets.depth_maps import DepthMaps

SIZE = (6, 8)
DEPTH = np.linspace(1, 2, 48, dtype=np.float32).reshape(SIZE)
MASK = np.zeros(SIZE, np.uint8)
MASK[1:5, 2:7] = 255


def save(
    root: Path,
    depth: np.ndarray,
    name: str = "a",
    *,
    suffix: str = "npy",
    mask: np.ndarray | None = MASK,
    folders: tuple[str, str, str] = ("images", "masks", "depths"),
) -> Path:
    images, masks, depths = (root / folder / "train" for folder in folders)
    for folder in (images, masks, depths):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1]).save(images / f"{name}.png")
    if mask is not None:
        Image.fromarray(mask).save(masks / f"{name}.png")
    else:
        masks.rmdir()
        masks.parent.rmdir()
    path = depths / f"{name}.{suffix}"
    np.save(path, depth) if suffix == "npy" else cv2.imwrite(str(path), depth)
    return path


def load(root: Path, **options: Any) -> DepthMaps:
    return DepthMaps(root, split="train", **options)


@pytest.mark.parametrize("folders", [("images", "masks", "depths"), ("rgb", "mask", "depth")])
def test_the_official_layout(tmp_path: Path, folders: tuple[str, str, str]) -> None:
    save(tmp_path, DEPTH, folders=folders)
    dataset = load(tmp_path)
    assert len(dataset) == 1
    sample = dataset[0]
    assert sample.depth is not None
    np.testing.assert_array_equal(sample.depth.valid, MASK > 0)
    assert sample.depth.depth.dtype == np.float32
    np.testing.assert_array_equal(sample.depth.depth, np.where(MASK > 0, DEPTH, 0))
    assert sample.bbox.tolist() == [2, 1, 6, 4] == sample.meta.bbox.tolist()
    assert sample.meta.size == SIZE


@pytest.mark.parametrize(
    ("suffix", "stored", "unit_m"),
    [
        ("npy", DEPTH.astype(np.float64), 1),
        ("npy", DEPTH.astype(np.float16)[..., None], 1),
        ("png", (DEPTH * 1000).round().astype(np.uint16), 1e-3),
        ("tiff", DEPTH * 100, 1e-2),
        ("tif", (DEPTH * 1000).round().astype(np.uint16), 1e-3),
        ("tiff", np.repeat(DEPTH[..., None], 3, 2), 1),
        ("npy", -DEPTH, -1),
    ],
)
def test_formats_and_units_become_meters(
    tmp_path: Path, suffix: str, stored: np.ndarray, unit_m: float
) -> None:
    save(tmp_path, stored, suffix=suffix)
    depth = load(tmp_path, kind="metric", unit_m=unit_m)[0].depth
    assert depth is not None
    inside = MASK > 0
    np.testing.assert_array_equal(depth.valid, inside)
    np.testing.assert_allclose(depth.depth[inside], DEPTH[inside], atol=1e-3)


def test_inverse_depth_is_inverted(tmp_path: Path) -> None:
    disparity = 50 / DEPTH
    disparity[2, 3] = 0
    disparity[2, 4] = -1
    save(tmp_path, disparity)
    depth = load(tmp_path, kind="metric", larger_is_farther=False, unit_m=50)[0].depth
    assert depth is not None
    assert not depth.valid[2, 3:5].any()
    assert depth.valid.sum() == 20 - 2
    np.testing.assert_allclose(depth.depth[depth.valid], DEPTH[depth.valid], rtol=1e-6)


def test_what_was_not_measured_is_invalid(tmp_path: Path) -> None:
    stored = DEPTH.copy()
    stored[1, 2:7] = [np.nan, np.inf, 0, 65504, 1e10]
    save(tmp_path, stored, mask=None)
    sample = load(tmp_path, invalid=(0, 65504, 1e10))[0]
    assert sample.depth is not None
    expected = np.ones(SIZE, bool)
    expected[1, 2:7] = False
    np.testing.assert_array_equal(sample.depth.valid, expected)
    assert np.isfinite(sample.depth.depth).all()
    assert sample.bbox.tolist() == [0, 0, 7, 5]  # no mask: the whole image


def test_relative_depth_may_be_negative_and_of_8_bits(tmp_path: Path) -> None:
    save(tmp_path, -DEPTH)
    depth = load(tmp_path)[0].depth
    assert depth is not None
    assert depth.valid.sum() == 20
    save(tmp_path / "b", (DEPTH * 100).astype(np.uint8), suffix="png")
    depth = load(tmp_path / "b")[0].depth
    assert depth is not None
    assert depth.depth.max() > 100


@pytest.mark.parametrize(
    ("stored", "suffix", "options", "message"),
    [
        (DEPTH * 0, "npy", {}, r"a\.npy has no valid pixel: its numbers are 0\.\.0, in the mask"),
        (DEPTH * np.nan, "npy", {}, r"a\.npy has no valid pixel: its numbers are not finite"),
        (-DEPTH, "npy", {"kind": "metric"}, r"no valid pixel.*-2\.\.-1.*its sign"),
        ((DEPTH * 99).astype(np.uint8), "png", {"kind": "metric"}, r"a\.png has 8 bits"),
        (DEPTH[:-1], "npy", {}, r"a\.npy is 5 x 8.*a\.png is 6 x 8"),
        (np.random.rand(6, 8, 3), "npy", {}, r"\(6, 8, 3\).*not a color-coded"),  # noqa: NPY002
        (DEPTH > 1.5, "npy", {}, r"a\.npy holds bool"),
    ],
)
def test_faults_are_named_before_the_first_step(
    tmp_path: Path, stored: np.ndarray, suffix: str, options: dict[str, Any], message: str
) -> None:
    save(tmp_path, stored, suffix=suffix)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **options)


def test_a_faulty_file_among_good_ones_can_be_skipped(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path, DEPTH, name)
    save(tmp_path, DEPTH, "b", mask=MASK * 0)
    with pytest.raises(ValueError, match=r"b\.npy has no valid pixel: its mask is empty"):
        load(tmp_path)
    dataset = load(tmp_path, on_error="skip")
    assert [Path(dataset[i].meta.path).stem for i in (0, 2)] == ["a", "c"]
    with pytest.raises(ValueError, match=r"its mask is empty"):
        dataset[1]


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    save(tmp_path, DEPTH, mask=MASK[:, :-2])
    with pytest.raises(ValueError, match=r"masks/train/a\.png is 6 x 6.*images/train/a\.png"):
        load(tmp_path)


def test_an_image_without_a_mask_is_named_where_there_are_masks(tmp_path: Path) -> None:
    save(tmp_path, DEPTH, "a")
    save(tmp_path, DEPTH, "b")
    (tmp_path / "masks/train/b.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 images have no mask.*\n.*b\.png"):
        load(tmp_path)
    assert len(load(tmp_path, on_error="skip")) == 1
    with pytest.raises(FileNotFoundError, match=r"no folder matte.*mask_dir=FOLDER"):
        load(tmp_path, mask_dir="matte")


def test_arguments_are_checked(tmp_path: Path) -> None:
    save(tmp_path, DEPTH)
    with pytest.raises(ValueError, match="kind='absolute'"):
        load(tmp_path, kind="absolute")
    with pytest.raises(ValueError, match="unit_m=0"):
        load(tmp_path, unit_m=0)


def test_one_image_cannot_be_divided(tmp_path: Path) -> None:
    save(tmp_path, DEPTH)
    folders = {"image_dir": "images", "mask_dir": "masks", "depth_dir": "depths"}
    for folder in folders.values():
        (tmp_path / folder / "train").rename(tmp_path / f"{folder}_flat")
    named = {argument: f"{folder}_flat" for argument, folder in folders.items()}
    with pytest.raises(ValueError, match=r"one image \(a\) cannot be divided"):
        load(tmp_path, **named)
    assert len(load(tmp_path, val_fraction=None, **named)) == 1


def test_an_exr_that_opencv_cannot_read_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.exr"
    window = struct.pack("<5i", 16, 0, 0, 3, 1)
    path.write_bytes(b"\x76\x2f\x31\x01" + bytes(4) + b"dataWindow\0box2i\0" + window)
    monkeypatch.setattr(arrays.cv2, "imdecode", lambda content, flags: None)
    with pytest.raises(ValueError, match=r"a\.exr.*OPENCV_IO_ENABLE_OPENEXR=1"):
        read_map(path)
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    monkeypatch.setattr(arrays.cv2, "imdecode", lambda content, flags: values)
    np.testing.assert_array_equal(read_map(path), values[..., ::-1])  # OpenCV gives BGR


def test_damaged_maps_are_named(tmp_path: Path) -> None:
    path = save(tmp_path, (np.random.default_rng(0).random((90, 90)) * 9e4).astype(np.uint16),
                suffix="png")  # fmt: skip
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(ValueError, match=r"a\.png is damaged"):
        read_map(path)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_map(tmp_path / "none.png")


def test_units_of_training_and_validation_are_compared(tmp_path: Path) -> None:
    save(tmp_path, DEPTH)
    train = load(tmp_path, kind="metric", val_fraction=None)
    val = load(tmp_path, kind="metric", val_fraction=None, unit_m=10)
    [finding] = train.differences(val)
    assert finding is not None
    assert finding.severity == "warning"
    assert "1.51 m in the median of the training and 15.1 m in that of the val" in str(finding)
    assert train.differences(train) == [None]
    assert load(tmp_path, val_fraction=None).differences(val) == ()
    certain = checks.check_same_unit(1.7, 0.0017)
    assert certain is not None
    assert certain.severity == "error"
    assert checks.check_same_unit(math.nan, 1.7) is None
