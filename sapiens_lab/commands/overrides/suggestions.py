"""Answer a misspelled override with the nearest keys and options that exist."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sapiens_lab.training.runs import override_key


def known_words(defaults: Mapping[Any, Any], folders: Sequence[Path]) -> set[str]:
    """Return every dotted key of a config and every ``group=option`` of some config folders."""
    words = set(_keys(defaults, ""))
    for folder in folders:
        for file in folder.rglob("*.yaml"):
            relative = file.relative_to(folder).with_suffix("")
            for parent in list(relative.parents)[:-1]:
                words.add(f"{parent.as_posix()}={relative.relative_to(parent).as_posix()}")
    return words


def explain(overrides: Sequence[str], message: str, known: set[str]) -> str:
    """Name the override that failed and its nearest neighbors.

    Args:
        overrides: the user's.
        message: Hydra's.
        known: keys and ``group=option`` words that exist.
    """
    keys = {word.split("=", 1)[0] for word in known}
    lines = [message.splitlines()[0]]
    # Hydra quotes what it could not apply; other overrides may fit this experiment.
    quoted = [
        word for word in overrides
        if f"'{override_key(word)}'" in lines[0] or lines[0].endswith(f" {word}")
    ]  # fmt: skip
    for word in quoted or overrides:
        key = word.split("=", 1)[0].lstrip("+~")
        candidates = {w for w in known if w.startswith(f"{key}=")} if key in keys else keys
        wanted = word.lstrip("+~") if key in keys else key
        if wanted in candidates or (key in keys and not candidates):
            continue
        near = difflib.get_close_matches(wanted, sorted(candidates), n=3, cutoff=0.5)
        near = near or sorted(k for k in candidates if k.endswith(f".{key.split('.')[-1]}"))[:3]
        if near:
            lines.append(f"`{word}`: did you mean {' or '.join(f'`{n}`' for n in near)}?")
    if lines[0].startswith("Could not override"):
        lines.append("`+key=value` adds a key that the config does not have.")
    return "\n".join(lines)


def explain_choice(overrides: Sequence[str], folders: Sequence[Path]) -> str:
    """Say which options a config group has, where an override gives no name of one.

    Args:
        overrides: those whose value is neither a text nor a list.
        folders: of configs; a folder within is a group.
    """
    lines = []
    for word in overrides:
        key = override_key(word)
        files = [file for folder in folders for file in (folder / key).rglob("*.yaml")]
        if not key:
            lines.append(f"`{word}` has no key; overrides are KEY=VALUE")
        elif files:
            options = sorted({f.as_posix().split(f"/{key}/")[-1][: -len(".yaml")] for f in files})
            lines.append(f"{word}: must be one of {', '.join(options)}")
    return "\n".join(lines)


def _keys(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, Mapping):
        return [prefix]
    keys = [prefix] if prefix else []
    for name, child in node.items():
        keys += _keys(child, f"{prefix}.{name}" if prefix else str(name))
    return keys
