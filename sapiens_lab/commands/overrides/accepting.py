"""Let an override set any argument of a class, also one that the config does not name.

Hydra refuses a key that is not in the config. Where the class of the node has an argument of that
name, the override is meant as Hydra's ``++key=value``, which adds the key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.overrides.checking import no_argument
from sapiens_lab.commands.overrides.signatures import Signature, signature
from sapiens_lab.training.runs import override_key

_REFUSED = re.compile(r"Could not override '([^']+)'")
_NOT_DELETED = re.compile(r"Error merging override (~\S+)")


def accept_argument(
    words: Sequence[str], message: str, compose: Callable[[Sequence[str]], DictConfig]
) -> list[str] | None:
    """Turn the override that Hydra refused into one that adds the key.

    Args:
        words: overrides of the command line.
        message: Hydra's, which quotes the key.
        compose: composes a config from overrides.

    Returns:
        The overrides to try next; ``None`` if the key belongs to no class that is known.

    Raises:
        ValueError: the class has no such argument; names the nearest.
    """
    if (deletion := _NOT_DELETED.match(message)) is not None:
        return _deleted_first(words, deletion.group(1))
    match = _REFUSED.match(message)
    if match is None:
        return None
    key = match.group(1)
    refused = [word for word in words if word[0] not in "+~" and override_key(word) == key]
    if not refused:
        return None
    config = compose([_added(word) for word in words if word not in refused])
    found = _class_of(config, key)
    if found is None:
        return None
    name, its_class = found
    if name in its_class.arguments or its_class.takes_any:
        return [f"++{word}" if word in refused else word for word in words]
    near = difflib.get_close_matches(key, _keys(config), n=3, cutoff=0.75)
    keys = f" Near keys: {', '.join(near)}" if near else ""
    raise ValueError(f"{refused[-1]}: {no_argument(its_class, name)}.{keys}")


def _deleted_first(words: Sequence[str], word: str) -> list[str] | None:
    """Put one deletion before the others: they took away what it takes its value from."""
    first = next(w for w in words if w.startswith("~"))
    if first == word or word not in words:
        return None
    others = [w for w in words if w != word]
    place = others.index(first)
    return [*others[:place], word, *others[place:]]


def _added(word: str) -> str:
    """Let no other unknown key stop a config from being composed."""
    key = word.split("=", 1)[0]
    is_value = "." in key and not {"@", "/"} & set(key) and key[0] not in "+~"
    return f"++{word}" if is_value and not key.startswith("hydra.") else word


def _class_of(config: DictConfig, key: str) -> tuple[str, Signature] | None:
    """Return the argument that a key means, and the signature of its class."""
    words = key.split(".")
    for length in range(len(words) - 1, 0, -1):
        path = ".".join(words[:length])
        node = OmegaConf.select(config, path, throw_on_resolution_failure=False)
        if isinstance(node, DictConfig):
            target = node.get("_target_")
            its_class = signature(target) if isinstance(target, str) else None
            return None if its_class is None else (words[length], its_class)
    return None


def _keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_interpolation() and len(child):
            keys += _keys(child, f"{prefix}{name}.")
    return keys
