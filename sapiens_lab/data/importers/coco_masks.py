"""COCO's RLE of foreign files, compressed or not, checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def counts_of_rle(rle: Any, size: tuple[int, int]) -> list[int]:
    """Return the runs of 0 and 1 of COCO's RLE.

    Args:
        rle: ``{"size": [height, width], "counts": runs or text}``.
        size: (height, width) of the image.

    Raises:
        ValueError: it is malformed, or of another size.
    """
    if not isinstance(rle, Mapping) or rle.get("size") != list(size):
        raise ValueError("its RLE is of another size than the image")
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = _unpacked(counts)
    if not isinstance(counts, list) or not set(map(type, counts)) <= {int}:
        raise ValueError("its RLE is no list of whole numbers")
    if min(counts, default=0) < 0 or sum(counts) != size[0] * size[1]:
        raise ValueError("its RLE has not as many pixels as the image")
    return counts


def _unpacked(text: str) -> list[int]:
    """Return the runs in COCO's text form: 5 bits per letter, lowest first, from the letter 0.

    From the third run on, what is written is the difference to the run two before (pycocotools,
    ``rleFrString``).
    """
    counts: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("its RLE is no text of COCO's")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return counts
