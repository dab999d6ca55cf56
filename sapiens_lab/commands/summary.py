"""What a run prints before it starts: the choices and values that differ from the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.finetune.decided import decided_words
from sapiens_lab.training.runs import override_key

_WIDTH = 100
_INDENT = " " * 13


def print_config(config: DictConfig) -> None:
    """Print the whole config as YAML; interpolations stay readable."""
    from rich.console import Console
    from rich.syntax import Syntax

    shown = OmegaConf.masked_copy(
        config, [str(key) for key in config if key not in ("callbacks", "logger")]
    )
    Console().print(Syntax(OmegaConf.to_yaml(shown), "yaml", background_color="default"))


def print_summary(config: DictConfig, hydra: DictConfig) -> None:
    """Print the experiment, what its file sets, and the user's overrides.

    Args:
        config: of the run.
        hydra: Hydra's own config of the run: choices, overrides, and where configs come from.
    """
    experiment = hydra.runtime.choices.get("experiment")
    folders = [Path(s.path) for s in hydra.runtime.config_sources if s.schema == "file"]
    decided = decided_words()  # printed already, with their reasons
    overrides = [str(word) for word in hydra.overrides.task if str(word) not in decided]
    for line in summary(config, experiment, folders, overrides, choices=hydra.runtime.choices):
        click.echo(line)


def summary(
    config: DictConfig,
    experiment: str | None,
    folders: Sequence[Path],
    overrides: Sequence[str],
    *,
    choices: Mapping[str, str],
) -> list[str]:
    """Return the lines of :func:`print_summary`."""
    lines = [f"{'experiment':<{len(_INDENT)}}{experiment}"]
    file = next((f for d in folders if (f := d / f"experiment/{experiment}.yaml").is_file()), None)
    typed = {override_key(word) for word in overrides}
    if file is not None:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        assert isinstance(content, dict)
        groups = _groups(content.pop("defaults", []))
        values = [
            f"{key}={_effective(config, key)}" for key in _leaves(content) if key not in typed
        ]
        chosen = [f"{group}={choices.get(group)}" for group in groups if group not in typed]
        lines += _wrapped("its choices", chosen)
        lines += _wrapped("its values", values)
    others = [word for word in overrides if override_key(word) != "experiment"]
    lines += _wrapped("your values", others)
    lines.append(f"{_INDENT}(print_config=true shows the whole config)")
    return lines


def _groups(defaults: Sequence[Any]) -> list[str]:
    """Return the config groups for which a defaults list has ``override /group: option``."""
    return [
        str(key).removeprefix("override ").lstrip("/")
        for entry in defaults
        if isinstance(entry, Mapping)
        for key in entry
    ]


def _leaves(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, Mapping) or not node:
        return [prefix]
    return [
        leaf
        for key, child in node.items()
        for leaf in _leaves(child, f"{prefix}.{key}" if prefix else str(key))
    ]


def _effective(config: DictConfig, key: str) -> str:
    value = OmegaConf.select(config, key)
    if isinstance(value, float):
        return f"{value:g}"
    return "null" if value is None else str(value).replace(" ", "").replace("'", "")


def _wrapped(title: str, words: Sequence[str]) -> list[str]:
    """Return ``title  word word ...`` in lines of at most 100 characters."""
    lines: list[str] = []
    head = f"{title:<{len(_INDENT)}}"
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= _WIDTH:
            lines[-1] += f"  {word}"
        else:
            lines.append((_INDENT if lines else head) + word)
    return lines
