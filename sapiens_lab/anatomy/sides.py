"""Infer left and right from names: ``left_knee``, ``KneeL``, ``r.ankle``, ``Right_Foot``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_SWAP = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d]+")
_GLUED = re.compile(r"(left|right)(?=[a-z])", re.IGNORECASE)  # lefthand

Side = Literal["left", "right", "center"]


def infer_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Return index pairs of names that differ by side alone, the earlier index first."""
    index = {name: i for i, name in enumerate(names)}
    pairs = []
    for i, name in enumerate(names):
        j = index.get(other_side(name))
        if j is not None and i < j:
            pairs.append((i, j))
    return pairs


def other_side(name: str) -> str:
    """Return the name with left and right exchanged; a name without a side comes back as it is."""
    words = _WORDS.findall(name)
    swapped = "".join(_swapped(word) for word in words)
    return swapped if swapped != name else _GLUED.sub(lambda m: _swapped(m.group()), name)


def side_of(name: str) -> Side:
    """Return the side that a name contains."""
    words = [word.lower() for word in _WORDS.findall(_GLUED.sub(r"\1_", name))]
    if "left" in words or "l" in words:
        return "left"
    return "right" if "right" in words or "r" in words else "center"


def flip_permutation(size: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return what each index becomes under a horizontal flip; an index without a partner stays.

    Raises:
        ValueError: an index has two partners.
    """
    order = list(range(size))
    for a, b in pairs:
        if a == b or order[a] != a or order[b] != b:
            raise ValueError(f"{a} and {b} cannot be a left/right pair: one has another partner")
        order[a], order[b] = b, a
    return order


def _swapped(word: str) -> str:
    other = _SWAP.get(word.lower(), word)
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[:1].isupper() else other
