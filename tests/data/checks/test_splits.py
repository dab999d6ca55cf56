"""Images on both sides of a split, by path, by content and as frames of one video."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data.checks import finding
from sapiens_lab.data.datasets.split_checks import check_splits


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_logged", set())


def write(root: Path, numbers: range, *, video: bool = False) -> list[Path]:
    """Write images of noise, or frames that differ by little."""
    root.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in numbers:
        rng = np.random.default_rng(number // 40 if video else number)
        pixels = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1)))
        pixels = (pixels + (number % 40) / 40).clip(0, 255).astype(np.uint8)
        paths.append(root / f"f_{number:04}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_good_splits_are_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path, range(40))
    check_splits(paths[::2], paths[1::2])
    check_splits(paths, [])
    assert not caplog.records


def test_the_same_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path, range(6))
    check_splits(paths, paths[:3])
    assert "3 of 3 validation images are training images too" in caplog.text
    assert "f_0000.png" in caplog.text


def test_copies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = write(tmp_path / "train", range(0, 60, 10))
    val = write(tmp_path / "val", range(5, 65, 10))
    shutil.copy(train[2], val[1])
    check_splits(train, val)
    assert "1 validation images are copies of training images" in caplog.text
    assert "val/f_0015.png is" in caplog.text


def test_frames_of_one_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path, range(400), video=True)
    check_splits([p for i, p in enumerate(paths) if i % 10], paths[::10])
    assert "nearly a training image's twin" in caplog.text


def test_one_image_validates_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path, range(0, 50, 10))
    check_splits(paths[1:], paths[:1])
    assert "the validation set has one sample" in caplog.text


def test_groups_that_are_in_both_sets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write(tmp_path, range(8))
    check_splits(paths[:4], paths[4:], group_by=r"f_000(\d)")
    assert not caplog.records
    check_splits(paths[::2], paths[1::2], group_by="f_00")
    assert "1 groups of data.group_by=f_00 are in both sets: f_00" in caplog.text
