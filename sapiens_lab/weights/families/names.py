"""Translating the names of tensors by a literal table, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


class KeyTable:
    """Names of a family of files and ours, below the prefixes of their modules.

    In a name, ``{i}`` is a number that both sides share and ``{3i}`` is three times ours. A tensor
    is a name of the table, or one followed by ``.weight`` or ``.bias``.

    Args:
        modules: their prefix -> (our prefix, their name -> our name).
    """

    def __init__(self, modules: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        self.modules = modules

    def to_ours(self, key: str) -> str | None:
        """Translate a name of theirs, e.g. ``backbone.ln1.weight``; ``None`` if there is none."""
        for theirs, (ours, table) in self.modules.items():
            if key.startswith(theirs):
                found = _translate(key.removeprefix(theirs), table.items())
                return None if found is None else ours + found
        return None

    def to_theirs(self, key: str) -> str | None:
        """Translate a name of ours; ``None`` if the table does not know it."""
        for theirs, (ours, table) in self.modules.items():
            if key.startswith(ours):
                pairs = ((our_name, their_name) for their_name, our_name in table.items())
                found = _translate(key.removeprefix(ours), pairs)
                return None if found is None else theirs + found
        return None


def _translate(key: str, table: Iterable[tuple[str, str]]) -> str | None:
    for source, target in table:
        pattern = re.escape(source).replace(r"\{i\}", r"(\d+)").replace(r"\{3i\}", r"(\d+)")
        match = re.fullmatch(rf"{pattern}(|\.weight|\.bias)", key)
        if match is None:
            continue
        *numbers, ending = match.groups()
        if numbers:
            number = int(numbers[0]) // 3 if "{3i}" in source else int(numbers[0])
            target = target.replace("{3i}", str(3 * number)).replace("{i}", str(number))
        return target + ending
    return None
