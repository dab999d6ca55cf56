"""Write images into tar archives, so that a run that is stopped can go on."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np

from sapiens_lab import atomic
from sapiens_lab.data.discovery.splits import SPLITS
from sapiens_lab.data.discovery.trees import find_images
from sapiens_lab.data.images import CorruptImageError, decode, read_content
from sapiens_lab.data.shards.tar_index import load_index, read_entry

PLAN_FILE = "shards.json"
FAULTY_FILE = "faulty.txt"

_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a folder of archives is made of; written into it before the first one."""

    source: str  # the tree of images
    num_images: int
    checksum: int  # of all names and sizes
    shard_mb: float  # an archive is closed when it reaches this [1e6 bytes]
    val_fraction: float
    seed: int  # of the order of the images


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One archive to be written."""

    path: Path
    names: Sequence[str]  # of the images, below the source


def plan_shards(
    source: Path, out: Path, *, shard_mb: float, val_fraction: float, seed: int
) -> tuple[Plan, list[Shard]]:
    """Divide a tree of images into archives, always in the same way.

    The images are shuffled first, since training shuffles within few archives at a time only.
    They are held out for validation as in ``ImageFolder``.

    Raises:
        FileNotFoundError: there is no such tree, or no image in it.
        ValueError: an archive's size makes no sense.
    """
    if shard_mb <= 0:
        raise ValueError(f"--shard-mb {shard_mb:g} must be positive")
    shards: list[Shard] = []
    checksum, total = 0, 0
    taken: set[str] = set()
    for split in SPLITS:
        names = find_images(source, split, val_fraction=val_fraction)
        names = [name for name in names if name not in taken]  # one image alone serves both
        taken.update(names)
        order = np.random.default_rng(seed).permutation(len(names))
        names = [names[i] for i in order]
        sizes = [(source / name).stat().st_size for name in names]
        for name, size in zip(names, sizes, strict=True):
            checksum = zlib.crc32(f"{name}\0{size}\n".encode(), checksum)
        total += len(names)
        # An image belongs to the archive in which its first byte falls.
        begins = [0, *accumulate(sizes)][:-1] if sizes else []
        numbers = [int(begin // (shard_mb * _MB)) for begin in begins]
        for count, number in enumerate(sorted(set(numbers))):
            chosen = [n for n, k in zip(names, numbers, strict=True) if k == number]
            shards.append(Shard(path=out / f"{split}-{count:06d}.tar", names=chosen))
    plan = Plan(
        source=str(source.resolve()),
        num_images=total,
        checksum=checksum,
        shard_mb=shard_mb,
        val_fraction=val_fraction,
        seed=seed,
    )
    return plan, shards


def begin(out: Path, plan: Plan) -> None:
    """Write the plan into a new folder, or check that the folder is of this plan.

    Raises:
        FileExistsError: the folder holds something else, which is left alone.
    """
    path = out / PLAN_FILE
    atomic.remove_leftovers(out)
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f"{out} exists and holds no {PLAN_FILE}; give another --out")
        out.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, json.dumps(asdict(plan), indent=2) + "\n")
        return
    found = json.loads(path.read_text())
    changed = [name for name, value in asdict(plan).items() if found.get(name) != value]
    if changed:
        raise FileExistsError(
            f"{out} was begun with another {', '.join(changed)} (see {PLAN_FILE}); give another "
            "--out, or the same images and settings to go on"
        )


def write_shard(source: Path, shard: Shard, *, num_workers: int) -> Iterator[str | None]:
    """Write one archive; yield a fault or ``None`` for each of its images.

    Files are taken as they are, never compressed again. Those that cannot be decoded are left out
    and noted in ``faulty.txt``. The archive gets its name when it is whole.
    """
    faults: list[str] = []
    ahead = 4 * num_workers  # contents held in memory
    with (
        atomic.replacing(shard.path) as part,
        tarfile.open(fileobj=part, mode="w") as archive,
        _decoders(num_workers) as pool,
    ):
        for start in range(0, len(shard.names), ahead):
            names = shard.names[start : start + ahead]
            found = pool.map(lambda name: _checked(source / name), names)
            for name, (content, fault) in zip(names, found, strict=True):
                if fault is None:
                    entry = tarfile.TarInfo(name)  # no date, no owner: the same bytes every time
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                else:
                    faults.append(fault)
                yield fault
    if faults:
        noted = "".join(f"{fault}\n" for fault in faults)
        atomic.append(shard.path.parent / FAULTY_FILE, noted.encode())
    load_index(shard.path)


def check_archive(path: Path, *, num_workers: int) -> Iterator[str | None]:
    """Decode every image of an archive; yield a fault or ``None`` for each.

    Raises:
        CorruptArchiveError: it is not a whole tar.
    """
    rows = load_index(path)

    def check(place: int) -> str | None:
        name, content = read_entry(path, rows[place])
        return _fault(content, f"{path}/{name}")

    with _decoders(num_workers) as pool:
        yield from pool.map(check, range(len(rows)))


def _decoders(num_workers: int) -> ThreadPoolExecutor:
    """Return threads that decode images side by side, each on one core."""
    cv2.setNumThreads(1)
    return ThreadPoolExecutor(num_workers)


def _checked(path: Path) -> tuple[bytes, str | None]:
    try:
        content = read_content(path)
    except FileNotFoundError as error:
        return b"", str(error)
    return content, _fault(content, str(path))


def _fault(content: bytes, name: str) -> str | None:
    try:
        decode(content, name, reduce=8)  # small is enough: all of the file is read for it
    except CorruptImageError as error:
        return str(error)
    return None
