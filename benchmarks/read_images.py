"""Images per second of each way to read a pretraining set: ``python benchmarks/read_images.py``.

The same JPEGs as files, as tar archives, and from these through webdataset where it is installed;
one process, each image decoded. The ways take turns, so that whatever else the machine does falls
on all alike; the quickest round counts. Everything is in the page cache: this measures the readers
and not the disk. Then: decoding a large image in full, and no finer than a random window of
the training needs.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from sapiens_lab.commands.main import sapiens
from sapiens_lab.data.crops import RandomResizedCrop
from sapiens_lab.data.datasets.image_folder import ImageFolder, encoded_sample
from sapiens_lab.data.datasets.image_shards import ImageShards
from sapiens_lab.data.fields import Image
from sapiens_lab.data.images import decode
from sapiens_lab.data.loading import EpochSampler
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.transforms import Warp

Reader = Callable[[], Iterator[object]]


def input_image(rng: np.random.Generator, height: int, width: int) -> bytes:
    """Return a JPEG of soft shapes and grain, about as large as an image's."""
    coarse = rng.integers(0, 255, (height // 40 + 2, width // 40 + 2, 3)).astype(np.uint8)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = rng.normal(0, 6, (height, width, 1)).astype(np.int16)
    pixels = np.clip(soft + grain, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def ours(dataset: ImageFolder | ImageShards) -> Iterator[object]:
    """Read an epoch in random order."""
    groups = dataset.group_sizes
    for key in EpochSampler(len(dataset), shuffle=True, group_sizes=groups):
        yield dataset[key.place].image.pixels


def readers(folder: Path) -> dict[str, Reader]:
    """Return every way that can be tried here."""
    tree, shards = folder / "tree", folder / "shards"
    found: dict[str, Reader] = {
        "folder of files": lambda: ours(ImageFolder(tree, split="train")),
        "tar archives (ours)": lambda: ours(ImageShards(shards, split="train")),
    }
    with contextlib.suppress(ImportError):
        import webdataset

        urls = [str(path) for path in sorted(shards.glob("train-*.tar"))]

        def stream() -> Iterator[object]:
            source = webdataset.WebDataset(urls, shardshuffle=len(urls), empty_check=False)
            for item in source.shuffle(1000):
                yield decode(item["jpg"], "image")

        found["webdataset"] = stream
    return found


def compare_readers(count: int, rounds: int, console: Console) -> None:
    """Print images per second for each way to read them."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tree").mkdir()
        for i in range(count):
            (folder / "tree" / f"{i:06d}.jpg").write_bytes(input_image(rng, 320, 240))
        words = ("make", str(folder / "tree"), "--out", str(folder / "shards"), "--shard-mb", "4")
        sapiens(("shards", *words), standalone_mode=False)
        ways = readers(folder)
        best = dict.fromkeys(ways, 0.0)
        for _ in range(rounds):
            for way, read in ways.items():
                began = time.perf_counter()
                done = sum(1 for _ in read())
                best[way] = max(best[way], done / (time.perf_counter() - began))
    table = Table("reader", "images/s", "of a folder's")
    for way, rate in best.items():
        table.add_row(way, f"{rate:.0f}", f"{rate / best['folder of files']:.2f}")
    console.print(table)


def compare_decoding(rounds: int, console: Console) -> None:
    """Print the milliseconds of a random window of a large image."""
    table = Table("image", "window to", "decoded in full [ms]", "as needed [ms]", "ratio")
    rng = np.random.default_rng(0)
    for height, width in ((1920, 1080), (3840, 2160)):
        content = input_image(rng, height, width)
        for side in (1024, 256):
            steps = (RandomResizedCrop(image_size=(side, side)), Warp((side, side), antialias=True))
            spent = [0.0, 0.0]
            for seed in range(rounds):
                for way in (0, 1):
                    sample = encoded_sample(content, "x.jpg", 0)
                    began = time.perf_counter()
                    if way == 0:
                        sample.image = Image(pixels=sample.image.pixels)
                    _apply(sample, steps, seed)
                    spent[way] += (time.perf_counter() - began) * 1e3 / rounds
            table.add_row(
                f"{height} x {width}", f"{side} x {side}", f"{spent[0]:.1f}", f"{spent[1]:.1f}",
                f"{spent[0] / spent[1]:.2f}",
            )  # fmt: skip
    console.print(table)


def _apply(sample: Sample, steps: tuple[RandomResizedCrop, Warp], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for step in steps:
        sample = step(sample, rng)


def main() -> None:
    """Compare readers, then decoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console(width=110)
    compare_readers(arguments.images, arguments.rounds, console)
    compare_decoding(10 * arguments.rounds, console)


if __name__ == "__main__":
    main()
