"""Which classes of a config the user has replaced, so that keys of the old ones are left over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sapiens_lab.training.runs import override_key

# These set values all over the config; what they say is meant as it stands.
_WHOLE_CONFIG = ("experiment", "debug")
_FILLED_BY = {"task": ("task", "head", "view"), "probe": ("callbacks.probe",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What the user typed, as far as it replaces classes."""

    typed: frozenset[str]  # keys of the overrides
    deleted: frozenset[str]  # keys of `~key`
    filled: tuple[str, ...]  # nodes that a chosen option of a config group fills

    @staticmethod
    def of(overrides: Sequence[str], choices: Mapping[str, str]) -> Replaced:
        """Read overrides; ``choices`` tells config groups from other keys."""
        keys = [override_key(word) for word in overrides]
        groups = [key for key in keys if key in choices and key not in _WHOLE_CONFIG]
        filled = [f for group in groups for f in _FILLED_BY.get(group, (group.replace("/", "."),))]
        return Replaced(
            typed=frozenset(key for key in keys if key not in choices),
            deleted=frozenset(override_key(w) for w in overrides if w.startswith("~")),
            filled=tuple("data" if name == "data.transforms" else name for name in filled),
        )

    def is_deleted(self, key: str) -> bool:
        """Tell whether the user took a key away."""
        return key in self.deleted

    def is_left_over(self, key: str, target_key: str) -> bool:
        """Tell whether a key may be another class's.

        Args:
            key: full key of an argument.
            target_key: full key of the ``_target_`` that its class comes from.
        """
        if any(key == word or key.startswith(f"{word}.") for word in self.typed):
            return False
        if any(word.startswith(f"{key}.") for word in self.typed):
            return False  # the user set something within it
        node = target_key.rpartition(".")[0]
        return target_key in self.typed or node in self.typed or self._is_filled(key)

    def _is_filled(self, key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in self.filled)
