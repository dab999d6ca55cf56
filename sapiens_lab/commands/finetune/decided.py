"""Which overrides of a run were decided, and which the user typed."""

from __future__ import annotations

from collections.abc import Iterable


class _Decided:
    words: frozenset[str] = frozenset()  # of the command in progress


def remember(words: Iterable[str]) -> None:
    """Note the overrides that were decided for the command in progress."""
    _Decided.words = frozenset(words)


def decided_words() -> frozenset[str]:
    """Return the overrides that were decided, not typed."""
    return _Decided.words
