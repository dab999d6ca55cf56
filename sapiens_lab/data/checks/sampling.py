"""Which samples are looked into before a run starts: not all, but some from everywhere."""

from __future__ import annotations

import numpy as np

NUM_CHECKED = 32  # samples that a dataset reads before the first step


def spread(length: int, limit: int | None = NUM_CHECKED) -> list[int]:
    """Return at most ``limit`` indices, evenly over ``0 .. length - 1``."""
    if limit is None or limit >= length:
        return list(range(length))
    return [i * length // limit for i in range(limit)]


def spread_pairs(length: int, limit: int = NUM_CHECKED) -> list[int]:
    """Return ``limit`` indices at most, as pairs of neighbors all over the dataset."""
    if length <= limit:
        return list(range(length))
    return [i + j for i in spread(length - 1, limit // 2) for j in (0, 1)]


def evenly(length: int) -> list[int]:
    """Return ``0 .. length - 1`` in an order of which every beginning is spread evenly.

    Who runs out of time has seen something from everywhere: the bits of the indices in reverse.
    """
    num_bits = max(1, (length - 1).bit_length())
    order = np.arange(1 << num_bits)
    reverse = np.zeros_like(order)
    for bit in range(num_bits):
        reverse |= ((order >> bit) & 1) << (num_bits - 1 - bit)
    return [int(i) for i in reverse[reverse < length]]
