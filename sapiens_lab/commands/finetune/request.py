"""What a command line leaves open, and how what is decided is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.overrides.quoting import assignment
from sapiens_lab.training.runs import merge_overrides, override_key

AUTO = "auto"
Compose = Callable[[Sequence[str]], DictConfig]  # overrides -> config, Hydra's own node included


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of what is printed, and the overrides that come of it."""

    title: str
    text: str  # what is decided, and why
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A config that still has open values, and the overrides that made it."""

    config: DictConfig
    typed: tuple[str, ...]
    decided: tuple[str, ...]
    compose: Compose

    @staticmethod
    def of(typed: Sequence[str], compose: Compose) -> Request:
        """Compose what the user typed."""
        return Request(config=compose(typed), typed=tuple(typed), decided=(), compose=compose)

    def with_decisions(self, decisions: Sequence[Decision]) -> Request:
        """Compose again with what is decided; what the user typed wins."""
        words = [word for decision in decisions for word in decision.words]
        decided = (*self.decided, *words)
        kept = merge_overrides(decided, self.typed)[: -len(self.typed) or None]
        config = self.compose([*kept, *self.typed])
        return Request(config=config, typed=self.typed, decided=tuple(kept), compose=self.compose)

    @property
    def choices(self) -> dict[str, str | None]:
        """The option of each config group."""
        return dict(self.config.hydra.runtime.choices)

    @property
    def task(self) -> str:
        """``pose``, ``segmentation``, ``depth`` or ``normal``."""
        return str(self.choices["task"])

    @property
    def root(self) -> Path:
        """The folder of the data."""
        return Path(str(self.value("data.root")))

    @property
    def is_overfit(self) -> bool:
        """Whether ``debug=overfit`` asks for a small network of its own."""
        return self.choices.get("debug") == "overfit"

    def value(self, key: str) -> Any:
        """Return a value; ``None`` where there is none."""
        return OmegaConf.select(self.config, key, throw_on_missing=False)

    def is_open(self, key: str) -> bool:
        """Tell whether a value is left to be decided."""
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(self.config, parent) if parent else self.config
        return OmegaConf.is_missing(node, name) or self.value(key) == AUTO

    def is_free(self, group: str, *options: str) -> bool:
        """Tell whether a config group is left as the shipped experiment has it."""
        is_typed = any(override_key(word) == group for word in self.typed)
        return not is_typed and self.choices.get(group) in options

    def is_typed(self, key: str) -> bool:
        """Tell whether the user gave a key, or one within it."""
        keys = [override_key(word) for word in self.typed]
        return any(name == key or name.startswith(f"{key}.") for name in keys)


def word(key: str, value: object) -> str:
    """Return ``key=value`` in Hydra's grammar."""
    if isinstance(value, str | Path):
        return assignment(key, value)
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(map(str, value))}]"
    return f"{key}={'null' if value is None else format_number(value)}"


def format_number(value: object) -> str:
    """Write a number in few digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()
