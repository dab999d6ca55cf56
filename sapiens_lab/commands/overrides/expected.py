"""What a key of the config may hold, and the words for it.

An ``Expected`` takes plain values: numbers, texts, ``None``, lists, dicts. A dict with ``_target_``
stands for the object that it builds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sapiens_lab.ranges import Range

_UNLIMITED = Range()


class Expected(Protocol):
    """One kind of value."""

    @property
    def words(self) -> str:
        """What is allowed, as in ``must be {words}``."""

    def accepts(self, value: Any) -> bool:
        """Tell whether a value is allowed."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Nothing is known, so nothing is refused."""

    words: str = "anything"

    def accepts(self, value: Any) -> bool:
        """Accept."""
        return True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """The values as they are typed."""
        return " or ".join(dict.fromkeys(typed(value) for value in self.values))

    def accepts(self, value: Any) -> bool:
        """Compare with type: ``true`` is not 1."""
        return any(type(value) is type(v) and value == v for v in self.values)


NULL = Choice((None,))
BOOL = Choice((True, False))


@dataclass(frozen=True, slots=True)
class Number:
    """A number within a range."""

    is_whole: bool
    range: Range = _UNLIMITED

    @property
    def words(self) -> str:
        """Kind and range."""
        r = self.range
        kind = "a whole number" if self.is_whole else "a number"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", r.low),
                ("above", r.above),
                ("at most", r.high),
                ("below", r.below),
            )
            if bound is not None
        ]
        return f"{kind} {' and '.join(bounds)}".rstrip()

    def accepts(self, value: Any) -> bool:
        """Check kind and range; NaN is never allowed."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else (int, float)):
            return False
        r = self.range
        return (
            not math.isnan(value)
            and (r == _UNLIMITED or math.isfinite(value))
            and (r.low is None or value >= r.low)
            and (r.high is None or value <= r.high)
            and (r.above is None or value > r.above)
            and (r.below is None or value < r.below)
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or one of a certain form."""

    words: str = "a text"
    pattern: str = r"(?s).*"

    def accepts(self, value: Any) -> bool:
        """Match the whole text."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True, slots=True)
class Many:
    """A list of any length."""

    item: Expected

    @property
    def words(self) -> str:
        """What each item is."""
        return f"a list, each {self.item.words}"

    def accepts(self, value: Any) -> bool:
        """Check every item."""
        return _is_list(value) and all(self.item.accepts(item) for item in value)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A list of a certain length."""

    items: tuple[Expected, ...]

    @property
    def words(self) -> str:
        """The items in their order."""
        kinds = [item.words for item in self.items]
        if len(set(kinds)) == 1:
            return f"a list of {len(kinds)}, each {kinds[0]}"
        return f"a list [{', '.join(kinds)}]"

    def accepts(self, value: Any) -> bool:
        """Check the length and every item."""
        return (
            _is_list(value)
            and len(value) == len(self.items)
            and all(e.accepts(item) for e, item in zip(self.items, value, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names."""

    item: Expected

    @property
    def words(self) -> str:
        """What each value is."""
        return f"a mapping, each value {self.item.words}"

    def accepts(self, value: Any) -> bool:
        """Check every value."""
        is_mapping = isinstance(value, Mapping) and "_target_" not in value
        return is_mapping and all(self.item.accepts(item) for item in value.values())


@dataclass(frozen=True, slots=True)
class Built:
    """An object, which a node with ``_target_`` builds."""

    name: str

    @property
    def words(self) -> str:
        """The class."""
        return f"an object ({self.name}: a node with `_target_`)"

    def accepts(self, value: Any) -> bool:
        """Accept nodes; what their target returns is not known."""
        return isinstance(value, Mapping) and "_target_" in value


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds."""

    options: tuple[Expected, ...]

    @property
    def words(self) -> str:
        """All of them; objects only where nothing but null could be typed instead."""
        typed = [o for o in self.options if not isinstance(o, Built)]
        return " or ".join(o.words for o in (typed if typed not in ([], [NULL]) else self.options))

    def accepts(self, value: Any) -> bool:
        """Accept what one of them does."""
        return any(option.accepts(value) for option in self.options)


def either(*options: Expected) -> Expected:
    """Join kinds; flat, each once, and ``Anything`` swallows the others."""
    flat: list[Expected] = []
    for option in options:
        flat += option.options if isinstance(option, Either) else (option,)
    if any(isinstance(option, Anything) for option in flat):
        return Anything()
    for number in [option for option in flat if isinstance(option, Number)]:
        if number.is_whole and Number(False, number.range) in flat:
            flat.remove(number)
    unique = tuple(dict.fromkeys(sorted(flat, key=lambda option: option == NULL)))
    return unique[0] if len(unique) == 1 else Either(unique)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def typed(value: Any) -> str:
    """Write a value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        inner = ",".join(f"{key}:{typed(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if _is_list(value):
        return f"[{','.join(typed(item) for item in value)}]"
    return str(value)
