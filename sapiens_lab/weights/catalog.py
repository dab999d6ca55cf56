"""The released models by name: what ``weights=sapiens-pose-1b`` means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A released model."""

    name: str
    task: str  # pretrain, pose, segmentation, depth or normal
    size: str  # 0.3b, 0.6b, 1b or 2b
    repo: str  # on the hub
    file: str  # in the repo
    patch_padding: int  # not in the tensors; see ``ViT``
    license: str
    outputs: str | None = None  # skeleton or class list, by its shipped name
    metric: str | None = None  # as the file's name has it
    gb: float | None = None  # 1e9 bytes, where known
    revision: str = "main"
    sha256: str | None = None  # of the file, where known

    @property
    def page(self) -> str:
        """The model's page, where terms are read and access is asked for."""
        return f"https://huggingface.co/{self.repo}"


@lru_cache(maxsize=1)
def list_models() -> tuple[Card, ...]:
    """Return the cards of all released models."""
    text = resources.files(__package__).joinpath("catalog.yaml").read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return tuple(
        Card(name=name, license=content["license"], **values)
        for name, values in content["models"].items()
    )


def find_card(name: str) -> Card | None:
    """Return the card of a name, or ``None`` where the catalog has none such."""
    return next((card for card in list_models() if card.name == name), None)


def near_names(name: str) -> list[str]:
    """Return the catalog's names most like ``name``."""
    return difflib.get_close_matches(name, [card.name for card in list_models()], n=3, cutoff=0.4)
