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


def divide(
    names: Sequence[str], split: Split, val_fraction: float | None, group_by: str | None = None
) -> list[str]:
    """Choose the names of a split by their checksums: the same ones whatever the order.

    Args:
        names: all names; a repeated one counts once.
        split: ``train`` or ``val``.
        val_fraction: fraction that validates, at least one; ``None`` chooses all for both.
        group_by: what stays on one side, see ``groups_of``; ``None`` keeps nothing together.

    Returns:
        The chosen names, sorted.

    Raises:
        ValueError: ``val_fraction`` is not a fraction, or there is one name or group only.
    """
    names = sorted(set(names))
    if val_fraction is None:
        return names
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
    if len(names) < 2:
        raise ValueError(f"one image ({first(names)}) cannot be divided into train and val")
    count = min(max(1, round(val_fraction * len(names))), len(names) - 1)
    groups: dict[str, list[str]] = {}
    for name, group in zip(names, groups_of(names, group_by), strict=True):
        groups.setdefault(group, []).append(name)
    if len(groups) < 2:
        raise ValueError(
            f"data.group_by={group_by}: all {len(names)} images are of one group, "
            f"{next(iter(groups))!r}, which cannot be divided into train and val"
        )
    order = sorted(groups, key=lambda group: (zlib.crc32(group.encode()), group))
    val: set[str] = set()
    for group in order:
        if abs(len(val) + len(groups[group]) - count) < count - len(val):
            val.update(groups[group])  # otherwise a smaller group may fit better
    if not val:
        val.update(groups[min(order, key=lambda group: len(groups[group]))])
    chosen = sorted(val) if split == "val" else sorted(set(names) - val)
    what = "checksum" if group_by is None else f"groups of {group_by}"
    log.info("divided by %s: %d of %d images to %s", what, len(chosen), len(names), split)
    return chosen


def groups_of(names: Sequence[str], group_by: str | None) -> list[str]:
    """Return the group of each name.

    Args:
        names: paths of images below their folder.
        group_by: ``folder``, or a regular expression whose first group, or whole match, is the
            group; a name that it does not match is a group of its own, as is every name for
            ``None``.

    Raises:
        ValueError: it is no regular expression, or matches nothing.
    """
    if group_by is None:
        return list(names)
    if group_by == "folder":
        return [name.rpartition("/")[0] for name in names]
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(f"data.group_by={group_by}: no regular expression: {error}") from error
    matches = [pattern.search(name) for name in names]
    if names and not any(matches):
        raise ValueError(f"data.group_by={group_by} matches no image, e.g. not {names[0]}")
    return [
        name if match is None else (match[1] if pattern.groups else match[0]) or name
        for name, match in zip(names, matches, strict=True)
    ]
