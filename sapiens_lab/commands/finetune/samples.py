"""How many samples there are, and how they are divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens_lab.commands.finetune.request import Decision, Request
from sapiens_lab.data.discovery.splits import split_of

_NAMES = {"pose": "people", "segmentation": "images", "depth": "images", "normal": "images"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Numbers of samples, and what a line about them says."""

    num_train: int
    text: str

    def decision(self) -> Decision:
        """Return the line."""
        return Decision(title="samples", text=self.text)


def count(request: Request) -> Samples:
    """Build the datasets as the run will, and count.

    Raises:
        FileNotFoundError, ValueError: they are faulty; as the run would say.
    """
    train, val = (_dataset(request, split) for split in ("train", "val"))
    name = _NAMES[request.task]
    text = f"{len(train)} {name} to train on, {len(val)} to validate; {_division(request, train)}"
    return Samples(num_train=len(train), text=text)


def _dataset(request: Request, split: str) -> Any:
    from hydra.utils import instantiate

    return instantiate(request.config.data[split], _convert_="all")()


def _division(request: Request, train: Any) -> str:
    """Say how the samples are divided."""
    fraction = request.value("data.train.val_fraction")
    if _is_split(request, train):
        return "the data are divided already"
    if fraction is None:
        return "the same samples, as data.train.val_fraction=null divides nothing"
    group = request.value("data.group_by")
    if group:
        return f"no split is given, so {fraction:g} of the groups of data.group_by={group} validate"
    return (
        f"no split is given, so {fraction:g} of the images validate, by a checksum of their names "
        "(data.group_by=folder keeps videos or people together)"
    )


def _is_split(request: Request, train: Any) -> bool:
    """Tell whether paths name the split."""
    file = getattr(train, "annotation_file", None)
    given = any(request.value(f"data.train.{k}") for k in ("annotation_file", "image_dir"))
    return given or any(_names_split(p, request.root) for p in _some(file, train.image_paths()))


def _some(file: Path | None, images: Sequence[Path]) -> list[Path]:
    return [file] if file is not None else list(images[:1])


def _names_split(path: Path, root: Path) -> bool:
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    return split_of(relative) is not None
