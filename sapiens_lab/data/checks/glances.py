"""``Glances``: what was noted of each image that was read, and checks of many images together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks import fingerprints
from sapiens_lab.data.checks.finding import Finding, of_items, of_rows

_NUMBERED = re.compile(r"(.*?)[-_. ]*\d+(\D*)$")
_NUM_OF_SOURCE = 5  # images of a source that tell something about it
_EXPOSURE = 40.0  # gray levels of 255 that a source is brighter or darker than the others
_GRAY = 1.0  # levels of saturation below which an image is gray
_FEW = 0.25  # fraction of the images that is odd; beyond it, there are two kinds of images
_MANY_GRAY = 0.01  # fraction of gray images that is worth a word
_SAME = 0.9  # of the images that have one size, so that another one is odd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glances:
    """Of ``n`` images that were read."""

    names: Sequence[str]  # paths
    sources: Sequence[str]  # the camera, video or folder that each is of, see ``sources.py``
    sizes: NDArray[np.int64]  # (n, 2) height, width
    brightness: NDArray[np.float32]  # (n,) 0..255
    saturation: NDArray[np.float32]  # (n,) 0..255, difference between the colors of a pixel
    checksums: NDArray[np.uint64]  # (n,) of the files
    signs: NDArray[np.int8]  # (n, 144), see ``fingerprints.py``
    thumbnails: NDArray[np.uint8]  # (n, 16, 16) gray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def prints(self) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
        """What ``fingerprints.alike`` compares."""
        return self.signs, self.thumbnails


def check_copies_across(train: Glances, val: Glances) -> list[Finding]:
    """Find validation images that training images show too: copies, resized, saved again, flipped.

    Frames of one video are among them.
    """
    exact = _partners(_equal(train.checksums, val.checksums))
    turned = fingerprints.flipped(val.signs), val.thumbnails[:, :, ::-1]
    near = {
        **_partners(fingerprints.alike(train.prints, turned)),
        **_partners(fingerprints.alike(train.prints, val.prints)),
    }
    near = {j: i for j, i in near.items() if j not in exact and train.names[i] != val.names[j]}
    exact = {j: i for j, i in exact.items() if train.names[i] != val.names[j]}
    group_by = (
        "Resized, saved again, flipped, or the next frame of a video, they measure memory: take "
        "them out of one set, or divide by video, person or session (data.group_by=folder)"
    )
    found = [
        _of_partners(
            exact, val, train, "validation images are copies of training images", group_by
        ),
        _of_partners(
            near,
            val,
            train,
            "validation images looked into are nearly a training image's twin",
            group_by,
        ),
    ]
    return [f for f in found if f is not None]


def check_copies_within(images: Glances) -> Finding | None:
    """Find images that are in a set twice."""
    near = fingerprints.alike(images.prints)
    partners = _partners(np.concatenate([_equal_within(images.checksums), near]))
    return _of_partners(
        partners,
        images,
        images,
        "images are in the set more than once, or nearly so",
        "Copies count twice in the loss; frames of one video add little: keep every n-th",
    )


def check_exposure(images: Glances) -> Finding | None:
    """Find a source that is much brighter or darker than the others."""
    odd = []
    for source, rows in groups(images.sources).items():
        others = np.setdiff1d(np.arange(len(images)), rows)
        if min(len(rows), len(others)) < _NUM_OF_SOURCE:
            continue
        low, middle, high = np.percentile(images.brightness[others], [5, 50, 95])
        own = float(np.median(images.brightness[rows]))
        if abs(own - middle) > _EXPOSURE and not low <= own <= high:
            odd.append(f"{source} (brightness {own:.0f} of 255, others {middle:.0f})")
    remedy = "Are they of another camera, or read from another range? Bring them to the same"
    return of_items("warning", odd, "sources have another exposure than the rest", remedy=remedy)


def check_gray(images: Glances) -> Finding | None:
    """Find gray images among color images."""
    is_gray = images.saturation < _GRAY
    if not len(images) or not max(2 / len(images), _MANY_GRAY) <= is_gray.mean() <= _FEW:
        return None
    return of_rows(
        "warning",
        is_gray,
        "images are gray, the others have color",
        name=lambda i: images.names[i],
        remedy="Were they converted by mistake? Where one kind of scene alone is gray, that "
        "is what is learned",
    )


def check_sizes(images: Glances) -> Finding | None:
    """Find images much smaller than the rest, which all have one size."""
    if len(images) < 2 * _NUM_OF_SOURCE:
        return None
    (common, count), *_ = Counter(map(tuple, images.sizes.tolist())).most_common(1)
    small = (images.sizes < 0.7 * np.array(common)).all(1)
    if count < _SAME * len(images):
        return None
    return of_rows(
        "warning",
        small,
        f"images are much smaller than the others, which have {common[0]} x {common[1]} pixels",
        name=lambda i: f"{images.names[i]} ({images.sizes[i, 0]} x {images.sizes[i, 1]})",
        remedy="Are they thumbnails, with annotations of the large images?",
    )


def groups(sources: Sequence[str]) -> Mapping[str, NDArray[np.int64]]:
    """Return the indices of each source, by name."""
    names, inverse = np.unique(np.array(sources, dtype=np.str_), return_inverse=True)
    return {str(name): np.flatnonzero(inverse == i) for i, name in enumerate(names)}


def source_of(path: str) -> str:
    """Return the folder of a file and its name without the last number.

    Cameras, videos and sessions have a folder or a prefix of their own: ``cam1/0001.jpg``,
    ``walk2_0001.jpg``, or an ending: ``0001_left.jpg``.
    """
    whole = PurePath(path)
    found = _NUMBERED.match(whole.stem)
    name = "".join(found.groups()) if found else ""
    return str(whole.parent / name) if name else str(whole.parent)


def _equal(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, i, j = np.intersect1d(a, b, return_indices=True)
    first = {int(a[p]): int(p) for p in i}
    rows = [(first[int(c)], k) for k, c in enumerate(b.tolist()) if int(c) in first]
    assert len(rows) >= len(j)
    return np.array(rows, np.int64).reshape(-1, 2)


def _equal_within(checksums: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(checksums, return_index=True, return_inverse=True)
    own = first[inverse]
    rows = np.flatnonzero(own != np.arange(len(checksums)))
    return np.stack([own[rows], rows], 1).astype(np.int64)


def _partners(pairs: NDArray[np.int64]) -> dict[int, int]:
    """Return the first partner of every second index."""
    return {int(j): int(i) for i, j in pairs[::-1]}


def _of_partners(
    partners: Mapping[int, int], images: Glances, others: Glances, what: str, remedy: str
) -> Finding | None:
    faulty = np.zeros(len(images), bool)
    faulty[list(partners)] = True
    return of_rows(
        "warning",
        faulty,
        what,
        name=lambda i: f"{images.names[i]} is {others.names[partners[i]]}",
        remedy=remedy,
    )
