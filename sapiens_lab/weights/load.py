"""Filling a model from a file, with a report of what was used and what was not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab.models.positions import resize_positions
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.weights.names import to_ours
from sapiens_lab.weights.pickles import load_pickled

State = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model", "module")  # keys under which files keep the tensors
_PREFIXES = ("module.", "model.", "_orig_mod.")
_DROPPED = ("data_preprocessor.", "neck.")  # constants of the exporter; the pretraining decoder


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """What became of every tensor."""

    source: str
    matched: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)  # position table moved to another grid
    initialised: list[str] = field(default_factory=list)  # ours, left as they were
    unused: list[str] = field(default_factory=list)  # the file's, not needed

    def __str__(self) -> str:
        lines = [f"weights from {self.source}: {len(self.matched)} tensors matched"]
        for label, names in (
            ("resized", self.resized),
            ("newly initialised", self.initialised),
            ("unused", self.unused),
        ):
            if names:
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                lines.append(f"  {label}: {', '.join(names[:4])}{more}")
        return "\n".join(lines)


def load_weights(
    model: Sapiens, source: str | Path, *, head: Literal["auto", "keep", "drop"] = "auto"
) -> LoadReport:
    """Copy a file's tensors into a model.

    Args:
        model: is changed in place.
        source: an official ``.pth`` (training, cleaned or pretraining), ``.safetensors``, or a
            checkpoint of our own.
        head: ``auto`` takes the decoder as far as its shapes fit (another number of keypoints
            gets a new last layer), ``keep`` demands all of it, ``drop`` none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or its encoder is not the model's; says how.
    """
    state = read_state(source)
    report = LoadReport(source=str(source))
    target = model.state_dict()
    new = _encoder(state, target, model, report) | _head(state, target, head, report)
    model.load_state_dict(new, strict=False)
    report.initialised = [name for name in target if name not in new]
    report.unused += [name for name in state if name not in new and name not in report.unused]
    return report


def read_state(source: str | Path) -> State:
    """Read a file into tensors under our names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read or holds no tensors; names it.
    """
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"weights={source}: there is no such file")
    if path.suffix == ".safetensors":
        try:
            raw: Any = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is truncated or damaged: {error}") from error
    else:
        raw = load_pickled(path)
    state = {_stripped(k): v for k, v in _unwrapped(raw).items() if isinstance(v, Tensor)}
    if not state:
        raise ValueError(f"{path} holds no tensors")
    if not any(key.startswith("backbone.") for key in state):  # cleaned encoders have no prefix
        state = {f"backbone.{key}": value for key, value in state.items()}
    return {
        to_ours(key) or key: value for key, value in state.items() if not key.startswith(_DROPPED)
    }


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


def _encoder(state: State, target: State, model: Sapiens, report: LoadReport) -> State:
    wanted = {k: v for k, v in target.items() if k.startswith("backbone.")}
    found = {k: v for k, v in state.items() if k.startswith("backbone.")}
    positions = "backbone.pos_embed"
    if positions in wanted and positions in found:
        resized = _fit_positions(found, wanted, model)
        if resized.shape != found[positions].shape:
            report.resized.append(positions)
        found[positions] = resized
    if "backbone.cls_token" not in wanted and "backbone.cls_token" in found:
        del found["backbone.cls_token"]  # pretraining has one, fine-tuned models do not
        report.unused.append("backbone.cls_token")
    if faults := _differences(found, wanted):
        raise ValueError(
            f"the encoder in {report.source} is not this model's: "
            f"{_shape_of(found)} there, {_shape_of(wanted)} here.\n"
            + "\n".join(faults[:6])
            + "\nChoose the encoder of the file with `backbone=`. (A patch size other than the "
            "file's would throw the pretraining away.)"
        )
    report.matched += [name for name in found if name not in report.resized]
    return found


def _head(state: State, target: State, mode: str, report: LoadReport) -> State:
    wanted = {k: v for k, v in target.items() if k.startswith("head.")}
    found = {k: v for k, v in state.items() if k.startswith("head.")}
    if mode == "drop" or not found:
        if mode == "keep":
            raise ValueError(f"{report.source} has no decoder to keep")
        return {}
    if faults := _differences(found, wanted):
        if mode == "keep":
            raise ValueError(f"the decoder in {report.source} differs:\n" + "\n".join(faults[:6]))
        found = {
            name: value
            for name, value in found.items()
            if name in wanted and value.shape == wanted[name].shape
        }
        inner = {name for name in wanted if not name.startswith("head.out.")}
        if not inner <= set(found):  # other widths: half a decoder is worth nothing
            return {}
        found = {name: value for name, value in found.items() if name in inner}
    report.matched += found
    return found


def _differences(found: State, wanted: State) -> list[str]:
    faults = [f"  missing: {name}" for name in wanted if name not in found]
    faults += [f"  left over: {name}" for name in found if name not in wanted]
    return faults + [
        f"  {name}: {tuple(found[name].shape)} there, {tuple(value.shape)} here"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]


def _fit_positions(found: State, wanted: State, model: Sapiens) -> Tensor:
    """Move the file's position table ``(1, N, D)`` to the model's grid."""
    table, own = found["backbone.pos_embed"], wanted["backbone.pos_embed"]
    token = "backbone.cls_token" in found
    if not token and grid_of(table.shape[1]) is None and grid_of(table.shape[1] - 1) is not None:
        token = True  # an odd table whose class token has been taken out of the file
    if token and "backbone.cls_token" not in wanted:
        table, token = table[:, 1:], False
    if table.shape == own.shape:
        return table
    source, target = grid_of(table.shape[1] - token), getattr(model.backbone, "grid", None)
    if source is None or target is None:
        return table  # reported as a difference
    return resize_positions(table, source, target, num_prefix_tokens=int(token))


def grid_of(num_patches: int) -> tuple[int, int] | None:
    """Return the (rows, columns) of a position table: square, or 4:3 as in fine-tuned models."""
    side = math.isqrt(num_patches)
    if side * side == num_patches:
        return side, side
    unit = math.isqrt(num_patches // 12)
    return (4 * unit, 3 * unit) if 12 * unit * unit == num_patches else None


def _shape_of(state: State) -> str:
    """Describe an encoder by what its tensors say."""
    blocks = {m.group(1) for name in state if (m := re.search(r"layers\.(\d+)\.", name))}
    kernel = state.get("backbone.patch_embed.weight", torch.empty(0, 0, 0, 0)).shape
    return f"width {kernel[0]}, {len(blocks)} layers, patches of {kernel[-1]}"
