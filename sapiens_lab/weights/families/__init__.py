"""Families of released models. A new one is a module here, with its catalog beside it.

A module of a family defines ``FAMILY``; nothing else has to be edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import yaml

if TYPE_CHECKING:  # names of released models are completed in the shell: nothing heavy here
    from torch import Tensor

    from sapiens_lab.weights.description import Description

State: TypeAlias = "dict[str, Tensor]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A released model."""

    name: str
    task: str  # pretrain, pose, segmentation, depth or normal
    size: str  # e.g. 0.3b
    repo: str  # on the hub
    file: str  # in the repo
    license: str
    patch_padding: int = 0  # not in the tensors; see ``ViT``
    outputs: str | None = None  # skeleton or class list, by its shipped name
    metric: str | None = None  # as the file's name has it
    gb: float | None = None  # 1e9 bytes, where known
    revision: str = "main"
    sha256: str | None = None  # of the file, where known

    @property
    def page(self) -> str:
        """The model's page, where its terms are shown and access is requested."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a user says of an official file because its tensors do not."""

    num_heads: int | None = None
    decoder_heads: int | None = None
    patch_padding: int | None = None

    def given(self) -> list[str]:
        """Return the names of those that are set."""
        return [name for name in self.__slots__ if getattr(self, name) is not None]


class FamilyFile(Protocol):
    """A file that a family has recognized."""

    family: ClassVar[str]  # its name

    @property
    def state(self) -> State:
        """The tensors under our names; those that are not known keep theirs."""

    @property
    def is_translated(self) -> bool:
        """Whether the file had other names than ours."""

    def task(self, release: Release | None) -> dict[str, Any]:
        """Return what the model is for: ``name`` and the ``meaning`` of its outputs."""

    def describe(self, release: Release | None, hints: Hints) -> Description:
        """Read the description of the model off its tensors.

        Args:
            release: the released model that the file is, if it is one.
            hints: what the user says.

        Raises:
            ValueError: a number is not in the tensors and must be given; says which.
        """


class Family(Protocol):
    """How the files of a family are recognized."""

    def recognize(self, state: Mapping[str, Tensor]) -> FamilyFile | None:
        """Return the file as one of this family; ``None`` if its tensors are of another kind."""


@lru_cache(maxsize=1)
def families() -> tuple[Family, ...]:
    """Return every family, in the order of their modules' names."""
    names = sorted(module.name for module in iter_modules([str(Path(__file__).parent)]))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return tuple(module.FAMILY for module in modules if hasattr(module, "FAMILY"))


@lru_cache(maxsize=1)
def releases() -> tuple[Release, ...]:
    """Return the released models of all families."""
    found = []
    for file in sorted(Path(__file__).parent.glob("*.yaml")):
        content: dict[str, Any] = yaml.safe_load(file.read_text())
        found += [
            Release(name=name, **{"license": content["license"], **values})
            for name, values in content["models"].items()
        ]
    return tuple(found)
