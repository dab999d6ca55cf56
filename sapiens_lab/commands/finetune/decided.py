"""Whether something is left to be decided, and which overrides were decided, not typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sapiens_lab.training.runs import override_key


class _Decided:
    words: frozenset[str] = frozenset()  # of the command in progress


def remember(words: Iterable[str]) -> None:
    """Note the overrides that were decided for the command in progress."""
    _Decided.words = frozenset(words)


def decided_words() -> frozenset[str]:
    """Return the overrides that were decided, not typed."""
    return _Decided.words


def may_be_open(words: Sequence[str], configs: Path, *, has_own: bool) -> bool:
    """Tell without composing, which takes time, whether a config may leave something open.

    Args:
        words: overrides.
        configs: the shipped configs.
        has_own: whether there is a folder of configs of the user's.
    """
    chosen = {override_key(word): word.split("=", 1)[-1] for word in words}
    if "recipe" in chosen:
        return True
    shipped = configs / "experiment" / f"{chosen.get('experiment')}.yaml"
    if shipped.is_file():
        return "override /recipe:" in shipped.read_text()
    return "experiment" in chosen and has_own
