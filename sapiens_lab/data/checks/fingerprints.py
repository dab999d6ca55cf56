"""Perceptual fingerprints of images, and which of many agree.

A difference hash: an image is shrunk to 9 x 9 gray pixels, and of every two neighbors it is noted
which is brighter. Recompressed, resized or slightly brightened copies keep nearly all of these
signs. Differences below the noise of a lossy file count as none, so that a plain background says
nothing instead of something random.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 9  # pixels of the image that is hashed
NUM_SIGNS = 2 * SIDE * (SIDE - 1)

_NOISE = 2.0  # gray levels that two neighbors differ by at least
_NUM_KNOWN = 32  # signs that an image must have to be told from others
_AGREE = 0.9  # fraction of the signs in which two images are alike
_CORRELATION = 0.97  # of their thumbnails, for two sets
_CORRELATION_WITHIN = 0.992  # and within one, where neighbors of a series do no harm
_NUM_PARTNERS = 8
_CHUNK = 2048  # images that are compared with as many others at a time


def signs_of(gray: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the signs ``(144,)`` of an image ``(9, 9)``: -1, 0 or 1."""
    across, down = np.diff(gray, axis=1), np.diff(gray, axis=0)
    changes = np.concatenate([across.ravel(), down.ravel()])
    return np.asarray(np.where(np.abs(changes) < _NOISE, 0, np.sign(changes)), np.int8)


def flipped(signs: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the signs ``(N, 144)`` of the horizontally flipped images."""
    count = SIDE * (SIDE - 1)
    across = -signs[:, :count].reshape(-1, SIDE, SIDE - 1)[:, :, ::-1]
    down = signs[:, count:].reshape(-1, SIDE - 1, SIDE)[:, :, ::-1]
    return np.concatenate([across.reshape(-1, count), down.reshape(-1, count)], 1)


def alike(
    a: tuple[NDArray[np.int8], NDArray[np.uint8]],
    b: tuple[NDArray[np.int8], NDArray[np.uint8]] | None = None,
) -> NDArray[np.int64]:
    """Return pairs ``(P, 2)`` of images that show the same, a few for each second image.

    Args:
        a: signs ``(N, 144)`` and thumbnails ``(N, h, w)``.
        b: the same of other images; ``None`` compares ``a`` with itself, each pair once.

    A product of matrices counts the signs that agree, less those that do not. Memory does not
    depend on the number of images.
    """
    first, second = a[0], a[0] if b is None else b[0]
    found = [
        np.add(_candidates(left, right, is_same=b is None and i == j), (i, j))
        for i, left in _chunks(first)
        for j, right in _chunks(second)
        if b is not None or i <= j
    ]
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    limit = _CORRELATION_WITHIN if b is None else _CORRELATION
    return pairs[_correlate(a[1], a[1] if b is None else b[1], pairs) > limit]


def _chunks(signs: NDArray[np.int8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(signs), _CHUNK):
        yield start, signs[start : start + _CHUNK].astype(np.float32)


def _candidates(
    a: NDArray[np.float32], b: NDArray[np.float32], *, is_same: bool
) -> NDArray[np.int64]:
    """Return pairs ``(P, 2)``, at most ``_NUM_PARTNERS`` of each image of ``b``.

    A camera that does not move has thousands of images that are all alike.
    """
    known_a, known_b = np.abs(a).sum(1), np.abs(b).sum(1)
    wanted = np.maximum(np.maximum(known_a[:, None], known_b[None]), _NUM_KNOWN)
    # Of n signs, d that disagree take 2 d from the sum.
    is_near = a @ b.T >= (2 * _AGREE - 1) * wanted
    if is_same:
        is_near = np.triu(is_near, 1)
    is_near &= np.cumsum(is_near, axis=0, dtype=np.int32) <= _NUM_PARTNERS
    return np.argwhere(is_near).astype(np.int64)


def _correlate(
    a: NDArray[np.uint8], b: NDArray[np.uint8], pairs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the correlation of each pair ``(P, 2)`` of thumbnails."""
    found = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        x, y = _standardize(a[some[:, 0]]), _standardize(b[some[:, 1]])
        found[start : start + _CHUNK] = (x * y).mean(1)
    return found


def _standardize(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    values -= values.mean(1, keepdims=True)
    return np.asarray(values / np.maximum(values.std(1, keepdims=True), 1.0), np.float32)
