"""Quote values that Hydra's grammar cannot read: paths with brackets, accents or quotes, and ``~``.

The shell has taken its own quotes away before a word comes here, so ``'data.root=My Fish (1)'`` is
``My Fish (1)`` to Hydra, which stops at the bracket. Such a value can only be meant as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import Node

_HOME = re.compile(r"(^|(?<=[\[,'\"]))(~[\w.-]*)(?=/|$)")  # begins a value, or an item of a list
_STRUCTURE = ("[", "{", "'", '"')  # what Hydra says about these is about the mistake within


def quote_values(words: Sequence[str]) -> list[str]:
    """Return overrides with home folders in place of ``~``, and quotes where they are needed."""
    return [_quoted(word) for word in words]


def assignment(key: str, text: object) -> str:
    """Return the override that sets a key to a text, whatever is in it."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), str(text))
    return f"{key}='{escaped}'"  # backslashes count before quotes and at the end only


def text_of(word: str) -> str:
    """Return the value of an override as text, without its quotes; of ``null`` nothing."""
    [override] = OverridesParser.create().parse_overrides([word])
    if override.is_sweep_override():
        return word.partition("=")[2]
    value = override.value()
    return "" if value is None else str(value)


def expand_home(config: DictConfig) -> None:
    """Put the home folder in place of ``~/`` in every value of a config, in place."""
    for node in _containers(config):
        names = list(node) if isinstance(node, DictConfig) else range(len(node))
        for name in names:
            child = node._get_node(name)
            value = child._value() if isinstance(child, Node) else None
            if isinstance(value, str) and value.startswith("~/"):
                OmegaConf.update(node, str(name), str(Path(value).expanduser()))


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not _reads(f"{key}=1"):
        return word
    if value[:1] in ("~", *_STRUCTURE):
        value = _HOME.sub(_expanded, value)
    word = f"{key}={value}"
    if value.startswith(_STRUCTURE) or "${" in value:
        return word
    is_file_with_comma = "," in value and _exists(value)
    if _reads(word) and not is_file_with_comma:
        return word
    return assignment(key, value)


def _expanded(match: re.Match[str]) -> str:
    try:
        return str(Path(match[2]).expanduser())
    except RuntimeError:  # no such user
        return match[0]


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long, or a zero byte
        return False


def _reads(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True


def _containers(node: DictConfig | ListConfig) -> list[DictConfig | ListConfig]:
    """Return a node and all containers within it, without following interpolations."""
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return []
    names = list(node) if isinstance(node, DictConfig) else range(len(node))
    children = [node._get_node(name) for name in names]
    found: list[DictConfig | ListConfig] = [node]
    for child in children:
        if isinstance(child, (DictConfig, ListConfig)):
            found += _containers(child)
    return found
