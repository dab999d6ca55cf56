"""Check a composed config against the signatures of the classes that it names.

Every key is an argument of the ``_target_`` of its node, so its type, its range and whether it
exists at all stand in the source of that class. A value that a node takes from elsewhere
(``${image_size}``) is answered under the name that a user types.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.base import Node
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from sapiens_lab.commands.errors import explain
from sapiens_lab.commands.overrides import foreign
from sapiens_lab.commands.overrides.expected import (
    BOOL,
    Either,
    Expected,
    Fixed,
    Many,
    Named,
    typed,
)
from sapiens_lab.commands.overrides.replaced import Replaced
from sapiens_lab.commands.overrides.signatures import Signature, signature
from sapiens_lab.commands.overrides.targets import find_fault

log = logging.getLogger(__name__)

_ROOT = "sapiens_lab.commands.overrides.root.Root"
_SPECIAL = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")
_REFERENCE = re.compile(r"\$\{([\w.@]+)\}")
_MAX_SHOWN = 60  # characters of a value
_MAX_LISTED = 12  # arguments of a class


def check_config(config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str]) -> None:
    """Leave out what a replaced class does not take; refuse what no class takes.

    Args:
        config: composed, without Hydra's own node; changed in place.
        overrides: of the command line.
        choices: the option of each config group.

    Raises:
        ValueError: lists all faults, one a line, each with key, value and what is allowed.
    """
    replaced = Replaced.of(overrides, choices)
    faults: dict[str, str] = {}
    root = signature(_ROOT)
    assert root is not None
    for name, argument in root.arguments.items():
        if argument.is_required and name not in config:
            faults[name] = f"{name} is needed: the config was left without it"
    for key, fault in (*_arguments("", config, root, _ROOT), *_nodes("", config, replaced)):
        if not any(f"key '{name}' not found" in fault for name in faults):  # said already
            faults.setdefault(key, fault)
    if faults:
        raise ValueError("\n".join(faults.values()))


def _nodes(path: str, node: DictConfig, replaced: Replaced) -> Iterator[tuple[str, str]]:
    """Go through all nodes below a node that have a ``_target_``."""
    if path and "_target_" in node:
        yield from _node(path, node, replaced)
    for name in list(node):
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not (child._is_none() or child._is_interpolation()):
            if not child._is_missing():
                yield from _nodes(_join(path, name), child, replaced)
        elif isinstance(child, ListConfig) and not child._is_interpolation():
            for index, item in enumerate(_items(child)):
                if isinstance(item, DictConfig) and not item._is_interpolation():
                    yield from _nodes(f"{_join(path, name)}[{index}]", item, replaced)


def _node(path: str, node: DictConfig, replaced: Replaced) -> Iterator[tuple[str, str]]:
    key = f"{path}._target_"
    try:
        origin, target = _follow(key, node._get_node("_target_"))
    except OmegaConfBaseException as error:
        yield key, f"{key}: {explain(error)}"
        return
    value = _plain(target)
    if fault := find_fault(value):
        yield origin, f"{origin}={_shown(value)}: {fault}"
        return
    found = signature(str(value))
    if found is None:
        return
    _leave_out(path, node, found, replaced, origin)
    yield from _unknown(path, node, found)
    yield from _missing(path, node, found, replaced)
    yield from _arguments(path, node, found, str(value))


def _leave_out(
    path: str, node: DictConfig, found: Signature, replaced: Replaced, origin: str
) -> None:
    """Drop what another class has left, where the user has replaced that class."""
    for name in list(node):
        key = _join(path, name)
        if not replaced.is_left_over(key, origin):
            continue
        value = node._get_node(name)
        if name not in _SPECIAL and name not in found.arguments and not found.takes_any:
            log.info("%s is left out: %s has no such argument", key, found.name)
        elif not _lacks_target(value, found, str(name)):
            _drop_entries(key, value, found, str(name))
            continue
        else:
            log.info("%s is left out: its class was replaced", key)
        with open_dict(node):
            del node[name]


def _drop_entries(key: str, value: Any, found: Signature, name: str) -> None:
    """Drop the entries of a mapping of objects that have lost their class."""
    argument = found.arguments.get(name)
    kinds = _options(argument.expected) if argument else ()
    if not isinstance(value, DictConfig) or value._is_interpolation() or value._is_none():
        return
    for kind in kinds:
        if isinstance(kind, Named) and "_target_" not in value:
            for entry in list(value):
                child = value._get_node(entry)
                if _is_bare(child) and not kind.item.accepts(_plain(child)):
                    log.info("%s.%s is left out: its class was replaced", key, entry)
                    with open_dict(value):
                        del value[entry]


def _lacks_target(value: Any, found: Signature, name: str) -> bool:
    argument = found.arguments.get(name)
    if argument is None or not _is_bare(value):
        return False
    return not any(isinstance(kind, Named) for kind in _options(argument.expected))


def _is_bare(value: Any) -> bool:
    """Recognize a node that sets arguments of a class, but names none."""
    return (
        isinstance(value, DictConfig)
        and not value._is_interpolation()
        and not value._is_none()
        and "_target_" not in value
    )


def _unknown(path: str, node: DictConfig, found: Signature) -> Iterator[tuple[str, str]]:
    for name in node:
        if name in _SPECIAL or name in found.arguments or found.takes_any:
            continue
        key = _join(path, name)
        yield key, f"{key}: {no_argument(found, str(name))}"


def no_argument(found: Signature, name: str) -> str:
    """Say that a class has no such argument, and which it has."""
    known = list(found.arguments)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    hint = f"; did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else "."
    listed = f" It has {', '.join(known[:_MAX_LISTED])}" if known else " It has none"
    listed += f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
    return f"{found.name} has no argument `{name}`{hint}{listed}"


def _missing(
    path: str, node: DictConfig, found: Signature, replaced: Replaced
) -> Iterator[tuple[str, str]]:
    """Name arguments without a value; callers of partial objects add some."""
    is_whole = not node.get("_partial_") and "_args_" not in node
    for name, argument in found.arguments.items():
        key = _join(path, name)
        if argument.is_required and name not in node and (is_whole or replaced.is_deleted(key)):
            yield key, f"{key} is needed: {found.name} has no default for it"


def _arguments(
    path: str, node: DictConfig, found: Signature, target: str
) -> Iterator[tuple[str, str]]:
    if "_partial_" in node:
        yield from _judge(f"{path}._partial_", node._get_node("_partial_"), BOOL, "")
    for name, argument in found.arguments.items():
        if name in node:
            expected = foreign.EXPECTED.get(target, {}).get(name, argument.expected)
            whose = f" ({name} of {found.name})" if path else ""
            yield from _judge(_join(path, name), node._get_node(name), expected, whose)


def _judge(key: str, node: Any, expected: Expected, whose: str) -> Iterator[tuple[str, str]]:
    """Compare a value with what is expected; name the key from which it comes."""
    raw = node
    try:
        origin, node = _follow(key, raw)
        if isinstance(node, Node) and node._is_missing():
            yield origin, f"{origin} has no value: add `{origin}=...`"
            return
        value = _plain(node)
    except OmegaConfBaseException as error:
        yield _explained(key, raw, error)
        return
    if expected.accepts(value):
        return
    inner = list(_inner(origin, node, expected, whose))
    yield from inner
    if not inner:
        own = whose if key != origin else ""
        yield origin, f"{origin}={_shown(value)}: must be {expected.words}{own}{_quotient(value)}"


def _quotient(value: Any) -> str:
    """Work out a fraction such as 1/256, which YAML reads as text."""
    match = re.fullmatch(r"([\d.e+-]+) */ *([\d.e+-]+)", value) if isinstance(value, str) else None
    try:
        return f"; {value} is {float(match[1]) / float(match[2]):.10g}" if match else ""
    except (ValueError, ZeroDivisionError):
        return ""


def _inner(key: str, node: Any, expected: Expected, whose: str) -> Iterator[tuple[str, str]]:
    """Look for the items that are to blame: those with a key of their own."""
    for kind in _options(expected):
        if isinstance(kind, Named) and isinstance(node, DictConfig) and "_target_" not in node:
            for name in node:
                yield from _judge(_join(key, name), node._get_node(name), kind.item, whose)
        elif isinstance(kind, (Many, Fixed)) and isinstance(node, ListConfig):
            items = _items(node)
            kinds = kind.items if isinstance(kind, Fixed) else [kind.item] * len(items)
            for index, (item, one) in enumerate(zip(items, kinds, strict=False)):
                if item._is_interpolation():
                    yield from _judge(f"{key}[{index}]", item, one, whose)


def _explained(key: str, node: Node, error: OmegaConfBaseException) -> tuple[str, str]:
    """Say which key an interpolation could not make use of."""
    message = explain(error) or str(error).splitlines()[0]
    names = _REFERENCE.findall(str(node._value()))
    if not names or isinstance(error, InterpolationKeyError):
        return key, message if key in message else f"{key}: {message}"
    if message.startswith(f"{names[0]} "):
        return names[0], message
    value = OmegaConf.select(node._get_root(), names[0])
    return names[0], f"{names[0]}={_shown(value)}: {message}"


def _follow(key: str, node: Any) -> tuple[str, Any]:
    """Return where a value comes from: its full key and its node."""
    if not isinstance(node, Node) or not node._is_interpolation():
        return key, node
    target = node._dereference_node()
    assert target is not None
    return target._get_full_key(None) or key, target


def _plain(node: Any) -> Any:
    """Turn a node into plain values; of objects only the target."""
    if isinstance(node, Node) and node._is_interpolation():
        node = node._dereference_node()
    if isinstance(node, DictConfig):
        if node._is_none() or node._is_missing():
            return None
        if "_target_" in node:
            return {"_target_": "..."}
        return {name: _plain(node._get_node(name)) for name in node}
    if isinstance(node, ListConfig):
        return None if node._is_none() else [_plain(item) for item in _items(node)]
    return node._value() if isinstance(node, Node) else node


def _items(node: ListConfig) -> list[Any]:
    return [] if node._is_none() else [node._get_node(index) for index in range(len(node))]


def _options(expected: Expected) -> tuple[Expected, ...]:
    return expected.options if isinstance(expected, Either) else (expected,)


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(value: Any) -> str:
    text = typed(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
