from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab.data.crops import CenterCrop
from sapiens_lab.data.datasets.image_folder import ImageFolder
from sapiens_lab.data.loading import Key, TransformedDataset
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.transforms import Warp


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for i in range(20):
        path = tmp_path / f"day{i % 3}" / f"{i:03d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((12, 10, 3), i, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_a_tree_is_divided_without_overlap(tree: Path) -> None:
    train = ImageFolder(tree, split="train", val_fraction=0.2)
    val = ImageFolder(tree, split="val", val_fraction=0.2)
    assert (len(train), len(val)) == (16, 4)
    assert not set(train.names) & set(val.names)
    assert len(ImageFolder(tree, split="val", val_fraction=None)) == 20
    sample = train[3]
    assert sample.image.pixels.shape == (12, 10, 3)
    assert sample.bbox.tolist() == [0, 0, 9, 11]
    assert int(Path(sample.meta.path).stem) == sample.image.pixels[0, 0, 0]


def test_folders_of_splits_are_used_where_there_are_any(tree: Path) -> None:
    (tree / "train").mkdir()
    (tree / "val").mkdir()
    for i, name in enumerate(("train", "train", "val")):
        cv2.imwrite(str(tree / name / f"x{i}.jpg"), np.zeros((8, 8, 3), np.uint8))
    assert ImageFolder(tree, split="train").names == ["train/x0.jpg", "train/x1.jpg"]
    assert ImageFolder(tree, split="val").names == ["val/x2.jpg"]


def test_a_broken_image_is_named_or_skipped(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ImageFolder(tree, split="train")
    broken = tree / data.names[2]
    broken.write_bytes(broken.read_bytes()[:60])
    warp = [CenterCrop((8, 8)), Warp((8, 8))]
    with pytest.raises(ValueError, match=f"{broken.name}.*data.on_error=skip"):
        TransformedDataset(data, transforms=warp)[Key(0, 2)]
    seen = TransformedDataset(data, transforms=warp, on_error="skip", redraw=True)
    with caplog.at_level(logging.WARNING):
        drawn = [seen[Key(epoch, 2)] for epoch in range(3)]
    assert all(isinstance(sample, Sample) and sample.meta.path != str(broken) for sample in drawn)
    assert caplog.text.count(broken.name) == 1


def test_a_folder_of_broken_images_stops(tree: Path) -> None:
    data = ImageFolder(tree, split="train")
    for name in data.names:
        (tree / name).write_bytes(b"not an image")
    seen = TransformedDataset(data, transforms=[Warp((8, 8))], on_error="skip", redraw=True)
    with pytest.raises(ValueError, match=r"50 samples in a row were damaged.*not an image"):
        seen[Key(0, 0)]


def test_no_folder_and_no_image_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=.*absent is not a folder"):
        ImageFolder(tmp_path / "absent", split="train")
    with pytest.raises(FileNotFoundError, match="no image below"):
        ImageFolder(tmp_path, split="train")


def test_folders_of_one_split_alone_are_divided(tmp_path: Path) -> None:
    """As ImageNet's ``train/`` alone: nothing validates on what it was trained on."""
    (tmp_path / "train").mkdir()
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"train/{i}.png"), np.zeros((8, 8, 3), np.uint8))
    train, val = (ImageFolder(tmp_path, split=s, val_fraction=0.2) for s in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert not set(train.names) & set(val.names)
