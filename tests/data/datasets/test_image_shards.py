from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from sapiens_lab.data.crops import CenterCrop
from sapiens_lab.data.datasets.image_shards import ImageShards
from sapiens_lab.data.loading import EpochSampler, TransformedDataset
from sapiens_lab.data.sample import collate
from sapiens_lab.data.transforms import Warp
from tests.data.shards.test_tar_index import image, pack


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Five archives of different length; image i is of pixel value i."""
    number = 0
    for count, length in enumerate((7, 3, 9, 1, 4)):
        entries = {f"{number + i:04d}.png": image(number + i) for i in range(length)}
        pack(tmp_path / f"{count:06d}.tar", entries)
        number += length
    return tmp_path


def test_every_image_is_where_the_order_says(shards: Path) -> None:
    train, val = (ImageShards(shards, split=split) for split in ("train", "val"))
    assert train.group_sizes == [7, 3, 9, 1]
    assert (len(train), len(val)) == (20, 4)
    for index in range(20):
        sample = train[index]
        assert (sample.image.pixels == index).all()
        assert sample.meta.path.endswith(f".tar/{index:04d}.png")
    assert (val[0].image.pixels == 20).all()
    with pytest.raises(IndexError):
        train[20]


def test_without_a_fraction_nothing_is_divided(shards: Path) -> None:
    assert len(ImageShards(shards, split="val", val_fraction=None)) == 24


def test_archives_named_after_splits(shards: Path) -> None:
    (shards / "000000.tar").rename(shards / "val-0.tar")
    (shards / "000001.tar").rename(shards / "train-0.tar")
    assert [p.name for p in ImageShards(shards, split="val").archives] == ["val-0.tar"]
    assert [p.name for p in ImageShards(shards, split="train").archives] == ["train-0.tar"]


def test_processes_and_workers_share_an_epoch(shards: Path) -> None:
    """2 processes of 2 workers: every image once, and the batches that one alone would see."""

    def batches(rank: int, world_size: int, workers: int) -> list[list[int]]:
        dataset = TransformedDataset(
            ImageShards(shards, split="train"), transforms=[CenterCrop((8, 8)), Warp((8, 8))]
        )
        sampler = EpochSampler(
            len(dataset),
            shuffle=True,
            rank=rank,
            world_size=world_size,
            fill=True,
            group_sizes=[7, 3, 9, 1],
        )
        loader = DataLoader(
            dataset, 4 // world_size, sampler=sampler,
            num_workers=workers, collate_fn=collate,
        )  # fmt: skip
        return [batch.image[:, 0, 0, 0].tolist() for batch in loader]

    alone = [gray for batch in batches(0, 1, 0) for gray in batch]
    assert sorted(alone) == list(range(20))
    shares = [[gray for batch in batches(rank, 2, 2) for gray in batch] for rank in (0, 1)]
    assert [gray for pair in zip(*shares, strict=True) for gray in pair] == alone


def test_a_data_set_travels_to_other_processes(shards: Path) -> None:
    data = pickle.loads(pickle.dumps(ImageShards(shards, split="train")))
    assert (data[9].image.pixels == 9).all()


def test_no_archive_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.tar below.*sapiens shards make"):
        ImageShards(tmp_path, split="train")
    (tmp_path / "x.tar.gz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"x\.tar\.gz is compressed: unpack it"):
        ImageShards(tmp_path, split="train")
    pack(tmp_path / "only.tar", {"1.json": b"{}"})
    with pytest.raises(FileNotFoundError, match="no image in the 1 archives of the val set"):
        ImageShards(tmp_path, split="val")
    with pytest.raises(FileNotFoundError, match=r"no archive below.*for the train set, among 1"):
        ImageShards(tmp_path, split="train")


def test_entries_are_sampled_before_the_first_step(
    shards: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    pack(shards / "000001.tar", {"1.png": image(1), "2.png": image(2)[:40], "3.png": b"text" * 20})
    (shards / "000001.tar.index.npy").unlink(missing_ok=True)
    ImageShards(shards, split="train")
    [message] = [m for m in caplog.messages if "cannot be read" in m]
    assert message.startswith(f"{shards}: 2 of 20 images that were looked into cannot be read")
    assert "000001.tar/2.png is truncated" in message
    assert "000001.tar/3.png is damaged or not an image" in message
    alone = tmp_path / "alone"
    alone.mkdir()
    pack(alone / "a.tar", {"1.png": b"text" * 20})
    with pytest.raises(ValueError, match="1 of 1 images that were looked into cannot be read"):
        ImageShards(alone, split="train", val_fraction=None)
