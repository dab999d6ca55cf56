"""Read YAML as data alone, and refuse what a parser would take silently."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sapiens_lab.limits import MAX_YAML_BYTES, read_file

_MAX_NODES = 1_000_000  # with those that aliases repeat


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """The safe loader without what it takes silently.

    That is the last of two equal keys, values that hold themselves, and aliases of aliases that
    stand for billions of values.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._num_nodes = 0
        self._sizes: dict[str, int] = {}  # nodes of each value that an alias can repeat

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        before = self._num_nodes
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.anchors:
            if event.anchor not in self._sizes:
                raise yaml.composer.ComposerError(
                    None, None, f"the value of &{event.anchor} holds itself", event.start_mark
                )
            self._num_nodes += self._sizes[event.anchor]
        self._num_nodes += 1
        if self._num_nodes > _MAX_NODES:
            raise yaml.composer.ComposerError(
                None, None, f"there are more than {_MAX_NODES} values", event.start_mark
            )
        node = super().compose_node(parent, index)
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self._sizes[event.anchor] = self._num_nodes - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if isinstance(key, yaml.ScalarNode) and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is there twice", key.start_mark
                )
            seen.add(name)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def read_yaml(path: Path) -> Any:
    """Parse a YAML file.

    Raises:
        ValueError: it is not YAML, has tags or a key twice, or is too large; the message has file
            and line.
    """
    content = read_file(path, MAX_YAML_BYTES)
    try:
        loader = _Loader(content)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
