"""What a file of weights says of itself; all that ``load_model`` believes for files of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sapiens_lab.limits import MAX_JSON_BYTES, read_file
from sapiens_lab.models.spec import TARGET, Spec

KEY = "sapiens_lab"  # of a checkpoint, under which the description stands
FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """How to build the model, what goes in and what comes out; plain values throughout."""

    model: Spec | None  # None: the class that was trained cannot say how it is built
    task: Mapping[str, Any]  # its ``name``, the ``meaning`` of the outputs, how they are decoded
    input: Mapping[str, Any] = field(default_factory=dict)  # the ``crop`` rule of the evaluation
    lora_scale: float | None = None  # of adapters that are stored beside the weights
    origin: str | None = None  # the weights from which training started
    license: str | None = None  # of those weights; it stays with everything made from them
    export_id: str | None = None  # the same in both files of an export
    crc32: int | None = None  # of an export's file of tensors

    @property
    def task_name(self) -> str:
        """What the model is for: pretrain, pose, segmentation, depth, normal, multitask, ..."""
        return str(self.task.get("name", "unknown"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint or a JSON file."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_dict(values: Any, path: Path) -> Description | None:
        """Take the values of ``to_dict`` back; ``None`` where they are of another program.

        Raises:
            ValueError: they are ours and of another version, or damaged; names the file.
        """
        if not isinstance(values, Mapping) or not {"format", "model", "task"} <= set(values):
            return None
        if values["format"] != FORMAT:
            raise ValueError(
                f"{path} was written in format {values['format']} of sapiens_lab and this version "
                f"reads format {FORMAT}; export it again with the version that wrote it"
            )
        known = {name: values[name] for name in Description.__slots__ if name in values}
        description = Description(**known)
        model = description.model
        is_spec = model is None or (isinstance(model, Mapping) and TARGET in model)
        if not is_spec or not isinstance(description.task, Mapping):
            raise ValueError(f"{path}: its description is damaged; export or copy it again")
        return description

    @staticmethod
    def from_json(path: Path) -> Description | None:
        """Read a ``config.json``; ``None`` where it is of another program.

        Raises:
            ValueError: it is not JSON, or as for ``from_dict``.
        """
        try:
            return Description.from_dict(json.loads(read_file(path, MAX_JSON_BYTES)), path)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{path} is not valid JSON: {error}") from error


def output_names(task: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the output channels (keypoints, classes), where they have names."""
    meaning = task.get("meaning", {})
    names = meaning.get("skeleton") or meaning.get("parts")
    return None if names is None else [str(name) for name in names]


def output_aliases(task: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what other models may call the outputs, by the names here."""
    given = task.get("aliases")
    if not isinstance(given, Mapping):
        return {}
    return {
        str(name): [str(alias) for alias in aliases]
        for name, aliases in given.items()
        if isinstance(aliases, list | tuple)
    }
