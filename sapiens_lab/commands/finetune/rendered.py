"""Weights of rendered people, to start from where none are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EXPERIMENTS = ("synthetic", "people")  # that render what they train on


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """An export of a run on rendered people, or the file that the package ships."""

    path: Path
    origin: str
    model: Mapping[str, Any]
    task: Mapping[str, Any]


def rendered_people_weights() -> Path | None:
    """Return the folder of weights that the package ships; ``None``, as it ships none."""
    return None


def find_rendered(output_root: Path, task: str) -> Rendered | None:
    """Return the newest export of a task or of several below ``output_root``, else the shipped one.

    Exports that are damaged or of another version are passed over.
    """
    exports = [
        path
        for group in (task, "multitask")
        for name in _EXPERIMENTS
        for path in (output_root / group / name).glob("*/export/config.json")
    ]
    for config in sorted(exports, key=lambda path: path.stat().st_mtime, reverse=True):
        if (found := _read(config.parent, f"{'/'.join(config.parts[-5:-3])}")) is not None:
            return found
    shipped = rendered_people_weights()
    return None if shipped is None else _read(shipped, "shipped with the package")


def _read(folder: Path, origin: str) -> Rendered | None:
    from sapiens_lab.weights.description import Description
    from sapiens_lab.weights.files import CONFIG, TENSORS

    if not (folder / TENSORS).is_file():
        return None
    try:
        found = Description.from_json(folder / CONFIG)
    except (ValueError, OSError):
        return None
    if found is None or found.model is None or "backbone" not in found.model:
        return None
    return Rendered(path=folder, origin=origin, model=found.model, task=found.task)
