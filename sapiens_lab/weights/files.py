"""Weight files of every kind, read into tensors under our names.

Official files (training checkpoints, cleaned ones, TorchScript, torch.export), safetensors, our
own checkpoints and exports, released models by name, files on the hub. Nothing in a file is ever
executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sapiens_lab.weights.catalog import Card
from sapiens_lab.weights.hub import locate
from sapiens_lab.weights.names import to_ours
from sapiens_lab.weights.reading import read_content

State = dict[str, Tensor]

OWN_KEY = "sapiens_lab"  # where our checkpoints say what they were trained for
CONFIG, TENSORS = "config.json", "model.safetensors"  # of an export's folder
_WRAPPERS = ("state_dict", "model", "module")  # keys under which files keep the tensors
_PREFIXES = ("module.", "model.", "_orig_mod.")
_DROPPED = ("data_preprocessor.",)  # constants of the exporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The content of a file."""

    path: Path
    state: State  # under our names
    card: Card | None = None  # of a released model
    config: Mapping[str, Any] = field(default_factory=dict)  # of an export of ours
    outputs: list[str] | None = None  # names of what comes out: keypoints, classes
    official: bool = False  # its names were the official ones
    pose: bool = False  # its decoder was stored as the official pose models store theirs

    @property
    def license(self) -> str | None:
        """The terms of a released model, or those that an export of ours has passed on."""
        if self.card is not None:
            return self.card.license
        license = self.config.get("task", {}).get("license")
        return None if license is None else str(license)


def read_weights(source: str | Path) -> Weights:
    """Read a file, an export's folder, a released model or a file of the hub.

    Raises:
        FileNotFoundError: there is no such file, name or id.
        ValueError: it cannot be read or holds no tensors; names it.
    """
    path, card = locate(source)
    config: Mapping[str, Any] = {}
    if (path / CONFIG).is_file():
        config = json.loads((path / CONFIG).read_text())
        path = path / TENSORS
    elif path.name == TENSORS and path.with_name(CONFIG).is_file():
        config = json.loads(path.with_name(CONFIG).read_text())
    raw = read_content(path)
    flat = {_stripped(k): v for k, v in _unwrapped(raw).items() if isinstance(v, Tensor)}
    if not flat:
        raise ValueError(f"{path} holds no tensors")
    if not any(key.startswith("backbone.") for key in flat):  # cleaned encoders have no prefix
        flat = {f"backbone.{key}": value for key, value in flat.items()}
    names = {key: to_ours(key) for key in flat if not key.startswith(_DROPPED)}
    return Weights(
        path=path,
        state={ours or key: flat[key] for key, ours in names.items()},
        card=card,
        config=config,
        outputs=_outputs(raw, config),
        official=any(ours not in (None, key) for key, ours in names.items()),
        pose="head.final_layer.weight" in flat,
    )


def _unwrapped(raw: Any) -> Mapping[str, Any]:
    while isinstance(raw, Mapping):
        inner = next((raw[k] for k in _WRAPPERS if isinstance(raw.get(k), Mapping)), None)
        if inner is None:
            return raw
        raw = inner
    return {}


def _stripped(key: str) -> str:
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key.replace("._orig_mod.", ".")


def _outputs(raw: Any, config: Mapping[str, Any]) -> list[str] | None:
    """Return the names that an export or a checkpoint of ours gives its outputs."""
    described = config.get("task", {}).get("describes", {})
    if not described and isinstance(raw, Mapping):
        described = raw.get(OWN_KEY) or {}
    names = described.get("skeleton") or described.get("parts")
    return None if names is None else [str(name) for name in names]
