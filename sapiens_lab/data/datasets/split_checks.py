"""Compare the files of a training and a validation set before a run starts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks import splits as checks
from sapiens_lab.data.checks.finding import Finding, settle
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.discovery.splits import groups_of
from sapiens_lab.data.images import REDUCTIONS, read_image

_NUM_FILES = 20_000  # whose sizes are asked for
_NUM_SUMS = 500  # files of a set that are summed up
_NUM_BYTES = 1 << 20  # of each
_NUM_FRAMES = 12  # pairs of images that are compared
_SIDE = 24  # pixels to which they are shrunk
_LARGE = 1 << 22  # bytes of a file that is not decoded for a look


def check_splits(
    train: Sequence[Path], val: Sequence[Path], *, group_by: str | None = None
) -> None:
    """Warn of images that are in both sets, copied, or frames of the same videos.

    Args:
        train: images of the training set.
        val: of the validation set.
        group_by: a regular expression on names whose matches should be in one set only.
    """
    if not train or not val:
        return
    train, val = list(dict.fromkeys(train)), list(dict.fromkeys(val))
    names = [list(map(str, paths)) for paths in (train, val)]
    same = checks.check_same_files(*names)
    faults = [same, checks.check_size(len(val))]
    if same is None:
        faults += [checks.check_same_content(*_suspicious(train, val)), _check_frames(train, val)]
    if group_by not in (None, "folder"):
        sides = [groups_of([path.name for path in paths], group_by) for paths in (train, val)]
        faults.append(checks.check_groups(*sides, group_by=str(group_by)))
    settle(faults, source="training and validation set")


def _suspicious(
    train: Sequence[Path], val: Sequence[Path]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return checksums of files whose size occurs on both sides."""
    if len(train) + len(val) > _NUM_FILES:
        known = {path.name for path in train}  # copies keep their names at least
        val = [path for path in val if path.name in known][:_NUM_SUMS]
        wanted = {path.name for path in val}
        train = [path for path in train if path.name in wanted]
    sizes = [{path: _size(path) for path in side} for side in (train, val)]
    shared = set(sizes[0].values()) & set(sizes[1].values()) - {-1}
    chosen = [[p for p, size in side.items() if size in shared][:_NUM_SUMS] for side in sizes]
    return _sums(chosen[0]), _sums(chosen[1])


def _sums(paths: Sequence[Path]) -> dict[str, int]:
    return {str(path): zlib.crc32(_start(path)) for path in paths}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_NUM_BYTES)
    except OSError:
        return str(path).encode()  # no other file's copy


def _check_frames(train: Sequence[Path], val: Sequence[Path]) -> Finding | None:
    pairs = checks.neighbors([p.name for p in train], [p.name for p in val])
    if len(pairs) < len(val) // 2:  # such numbers come about by chance
        return None
    chosen = [pairs[i] for i in spread(len(pairs), _NUM_FRAMES)]
    looked = [(_small(train[a]), _small(val[b]), val[b].name) for a, b in chosen]
    both = [(a, b, name) for a, b, name in looked if a is not None and b is not None]
    return checks.check_frames([(a, b) for a, b, _ in both], [name for _, _, name in both])


def _small(path: Path) -> NDArray[np.float32] | None:
    size = _size(path)
    if not 0 <= size < _LARGE:
        return None
    try:
        pixels = read_image(path, reduce=REDUCTIONS[0] if size > 1 << 16 else 1)
    except (ValueError, FileNotFoundError):
        return None  # named by the checks of images
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.mean(-1), np.float32)
