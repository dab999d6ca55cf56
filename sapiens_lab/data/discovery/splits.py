"""Which split a file belongs to: the one its path names, or else a checksum of its name decides."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal, get_args

from sapiens_lab.data.checks.finding import first

log = logging.getLogger(__name__)

Split = Literal["train", "val"]

SPLITS: tuple[Split, ...] = get_args(Split)
WORDS: dict[Split, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation"}),
}


def check_root(root: str | Path, split: Split | None) -> Path:
    """Return the folder of a dataset.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no such split.
    """
    if split not in (*SPLITS, None):
        raise ValueError(f"split={split!r}; choose train or val")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"data.root={root} is not a folder (looked from {Path.cwd()})")
    return Path(root)


def split_of(path: str | PurePath) -> Split | None:
    """Return the split that a relative path names: its outermost part that names only one.

    Words count, in any case: ``train2017/1.jpg``, ``Validation_images``, ``0-val.tar``.
    """
    for part in PurePath(path).parts:
        words = set(re.split(r"[^a-z]+", part.lower()))
        named = [split for split in SPLITS if words & WORDS[split]]
        if len(named) == 1:
            return named[0]
    return None


def divide(names: Sequence[str], split: Split, val_fraction: float | None) -> list[str]:
    """Choose the names of a split by their checksums: the same ones whatever the order.

    Args:
        names: all names; a repeated one counts once.
        split: ``train`` or ``val``.
        val_fraction: fraction that validates, at least one; ``None`` chooses all for both.

    Returns:
        The chosen names, sorted.

    Raises:
        ValueError: ``val_fraction`` is not a fraction, or there is one name only.
    """
    names = sorted(set(names))
    if val_fraction is None:
        return names
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
    if len(names) < 2:
        raise ValueError(f"one image ({first(names)}) cannot be divided into train and val")
    order = sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))
    count = min(max(1, round(val_fraction * len(names))), len(names) - 1)
    chosen = order[:count] if split == "val" else order[count:]
    log.info("divided by checksum: %d of %d images to %s", len(chosen), len(names), split)
    return sorted(chosen)
