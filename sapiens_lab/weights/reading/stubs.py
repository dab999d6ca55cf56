"""What stands for an object that a file names and that is not built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sapiens_lab.weights.reading.source import RefusedError


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a pickle names; never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Stub:
    """Stands for an object of a class that is not known: config, array, logger. Holds nothing."""

    name: str


@dataclass(slots=True, eq=False)
class ScriptObject:
    """A module of a TorchScript program, reduced to its attributes."""

    attributes: dict[str, Any] = field(default_factory=dict)


def children(node: Any) -> Iterable[Any]:
    """Return what a container holds, its keys too; nothing for a leaf."""
    if isinstance(node, Mapping):
        return [*node.keys(), *node.values()]
    if isinstance(node, ScriptObject):
        return node.attributes.values()
    return node if isinstance(node, (list, tuple, set, frozenset)) else ()


def stub_names(content: Any) -> list[str]:
    """Return the names of all objects in ``content`` that stubs stand for, sorted."""
    found, seen, waiting = set(), set(), [content]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Stub):
            found.add(node.name)
        elif isinstance(node, Global):
            found.add(str(node))
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.extend(children(node))
    return sorted(found)


def check_tree(root: Any, *, depth: int = 100, nodes: int = 5_000_000) -> None:
    """Check that walking ``root`` ends soon, so that whoever uses it may do so without care.

    Raises:
        RefusedError: containers hold themselves, are nested deeper than ``depth``, or name each
            other so often that a walk would visit more than ``nodes`` of them.
    """
    known: dict[int, tuple[int, int]] = {}  # id -> nodes and depth below
    open_: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        node, is_left = waiting.pop()
        if id(node) in known:
            continue
        below = [child for child in children(node) if not isinstance(child, (str, int, float))]
        if not is_left:
            if id(node) in open_:
                raise RefusedError("a container in it holds itself")
            open_.add(id(node))
            waiting.append((node, True))
            waiting.extend((child, False) for child in below if id(child) not in known)
            continue
        open_.discard(id(node))
        size = 1 + sum(known[id(child)][0] for child in below)
        height = 1 + max((known[id(child)][1] for child in below), default=0)
        if height > depth or size > nodes:
            raise RefusedError("its containers are nested too deeply or too often")
        known[id(node)] = (size, height)
