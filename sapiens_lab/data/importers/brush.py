"""Label Studio's brush masks: a stream of bits with runs of equal values.

The stream (thi.ng's rle-pack, which Label Studio uses) holds the number of values in 32 bits, the
bits of a value less one in 5, and four widths less one in 4 bits each. Then, until all values are
there: one bit that tells a run from single values, two that choose the width of the count, the
count less one, and the value or values. Values are the bytes of an RGBA image; alpha is the mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def decode_brush(stream: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask ``(H, W)`` of a brush.

    Raises:
        ValueError: it is no such stream, is cut off, or has not the size of the image.
    """
    if not isinstance(stream, list) or not set(map(type, stream)) <= {int}:
        raise ValueError("its rle is no list of whole numbers")
    if not stream or min(stream) < 0 or max(stream) > 255:
        raise ValueError("its rle are no bytes")
    reader = _Bits(np.unpackbits(np.array(stream, np.uint8)))
    total, word = reader.number(32), reader.number(5) + 1
    widths = [reader.number(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"its rle has {total} values, {4 * size[0] * size[1]} are RGBA")
    if word != 8:
        raise ValueError(f"its rle has values of {word} bits, not 8")
    values = np.empty(total, np.uint8)
    place = 0
    while place < total:
        is_run = reader.number(1)
        count = reader.number(widths[reader.number(2)]) + 1
        if place + count > total:
            raise ValueError("its rle has more values than it says")
        values[place : place + count] = reader.number(8) if is_run else reader.bytes(count)
        place += count
    return np.asarray(values.reshape(*size, 4)[..., 3] > 0)


class _Bits:
    """Reads whole numbers from bits, the highest bit first."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits, self._place = bits, 0

    def number(self, count: int) -> int:
        """Return the next ``count`` bits as a number."""
        value = 0
        for bit in self._take(count).tolist():
            value = 2 * value + bit
        return value

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """Return the next ``count`` bytes."""
        return np.packbits(self._take(8 * count).reshape(count, 8), axis=1)[:, 0]

    def _take(self, count: int) -> NDArray[np.uint8]:
        if self._place + count > len(self._bits):
            raise ValueError("its rle is cut off")
        self._place += count
        return self._bits[self._place - count : self._place]
