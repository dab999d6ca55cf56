"""Filling a model from a file, with a report of what was used and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from sapiens_lab.models.pos_embed import resize_pos_embed
from sapiens_lab.weights.architecture import describe_encoder, grid_of
from sapiens_lab.weights.files import State, Weights, read_weights

HeadMode = Literal["auto", "keep", "drop", "by_name"]


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """What became of every tensor."""

    source: str
    license: str | None = None  # of the weights, where it is known
    matched: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)  # positional embedding moved to another grid
    by_name: list[str] = field(default_factory=list)  # outputs whose rows were copied
    initialized: list[str] = field(default_factory=list)  # ours, left as they were
    unused: list[str] = field(default_factory=list)  # the file's, not needed

    def __str__(self) -> str:
        lines = [f"weights from {self.source}: {len(self.matched)} tensors matched"]
        for label, names in (
            ("resized", self.resized),
            ("copied by name", self.by_name),
            ("newly initialized", self.initialized),
            ("unused", self.unused),
        ):
            if names:
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                lines.append(f"  {label}: {', '.join(names[:4])}{more}")
        return "\n".join(lines)


def load_weights(
    model: nn.Module,
    source: str | Path | Weights,
    *,
    head: HeadMode = "auto",
    outputs: Sequence[str] | None = None,
) -> LoadReport:
    """Copy a file's tensors into a model.

    Args:
        model: ``Sapiens`` or ``MaskedAutoencoder``; is changed in place.
        source: what ``read_weights`` understands: a file of any official kind, an export or a
            checkpoint of our own, the name of a released model, a hub id.
        head: ``auto`` takes the decoder as far as its shapes fit (another number of keypoints
            gets a new last layer), ``keep`` demands all of it, ``drop`` takes none, ``by_name``
            copies the outputs whose names both sides know.
        outputs: names of the model's outputs (keypoints, classes), for ``by_name``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or its encoder is not the model's; says how.
    """
    weights = source if isinstance(source, Weights) else read_weights(source)
    report = LoadReport(source=str(weights.path), license=weights.license)
    target = model.state_dict()
    new = _encoder(weights.state, target, model, report)
    new |= _decoder(weights.state, target, report)
    new |= _head(weights, target, head, outputs, report)
    model.load_state_dict(new, strict=False)
    report.initialized = [name for name in target if name not in new]
    used = {*new, *report.unused}
    report.unused += [name for name in weights.state if name not in used]
    return report


def _encoder(state: State, target: State, model: nn.Module, report: LoadReport) -> State:
    wanted = {k: v for k, v in target.items() if k.startswith("backbone.")}
    found = {k: v for k, v in state.items() if k.startswith("backbone.")}
    positions = "backbone.pos_embed"
    if positions in wanted and positions in found:
        found[positions], was_resized = _fit_positions(found, wanted, model)
        if was_resized:
            report.resized.append(positions)
    if "backbone.cls_token" not in wanted and "backbone.cls_token" in found:
        del found["backbone.cls_token"]  # pretraining has one, fine-tuned models do not
        report.unused.append("backbone.cls_token")
    if faults := _differences(found, wanted):
        raise ValueError(
            f"the encoder in {report.source} is not this model's: "
            f"{describe_encoder(found)} there, {describe_encoder(wanted)} here.\n"
            + "\n".join(faults[:6])
            + "\nChoose the encoder of the file with `backbone=`. (A patch size other than the "
            "file's would throw the pretraining away.)"
        )
    report.matched += [name for name in found if name not in report.resized]
    return found


def _decoder(state: State, target: State, report: LoadReport) -> State:
    """Take the decoder of a masked autoencoder where both sides have one and it fits whole."""
    wanted = {k: v for k, v in target.items() if k.startswith("decoder.")}
    found = {k: v for k, v in state.items() if k.startswith("decoder.")}
    table = "decoder.pos_embed"
    if table in wanted and table in found and found[table].shape != wanted[table].shape:
        found[table] = wanted[table]  # sines of another grid: computed, not learned
    if not wanted or not found or _differences(found, wanted):
        return {}
    report.matched += found
    return found


def _head(
    weights: Weights,
    target: State,
    mode: HeadMode,
    outputs: Sequence[str] | None,
    report: LoadReport,
) -> State:
    wanted = {k: v for k, v in target.items() if k.startswith("head.")}
    found = {k: v for k, v in weights.state.items() if k.startswith("head.")}
    if mode == "drop" or not found:
        if mode == "keep":
            raise ValueError(f"{report.source} has no decoder to keep")
        return {}
    faults = _differences(found, wanted)
    if mode == "keep" and faults:
        raise ValueError(f"the decoder in {report.source} differs:\n" + "\n".join(faults[:6]))
    last = [name for name in wanted if name.split(".")[-2] == "out"]
    fitting = {k: v for k, v in found.items() if k in wanted and v.shape == wanted[k].shape}
    inner = {k: v for k, v in fitting.items() if k not in last}
    if not faults and mode != "by_name":
        inner = found
    elif not {name for name in wanted if name not in last} <= set(inner):
        return {}  # other widths: half a decoder is worth nothing
    report.matched += inner
    return inner | (_rows_by_name(weights, target, outputs, report) if mode == "by_name" else {})


def _rows_by_name(
    weights: Weights, target: State, outputs: Sequence[str] | None, report: LoadReport
) -> State:
    """Copy the rows of the last layer whose names both sides know."""
    theirs = weights.outputs
    if theirs is None or outputs is None:
        side = report.source if theirs is None else "this task"
        raise ValueError(
            f"head_init=by_name: the names of the outputs of {side} are not known; use auto"
        )
    shared = [name for name in outputs if name in theirs]
    if not shared:
        raise ValueError(
            f"head_init=by_name: {report.source} has none of this task's outputs "
            f"({', '.join(outputs[:4])}, ...), but {', '.join(theirs[:4])}, ..."
        )
    to, source = ([names.index(name) for name in shared] for names in (list(outputs), list(theirs)))
    rows = {}
    for name in ("head.out.weight", "head.out.bias"):
        rows[name] = target[name].clone()
        rows[name][to] = weights.state[name][source].to(rows[name])
    report.by_name = shared
    return rows


def _differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    faults = [f"  missing: {name}" for name in wanted if name not in found]
    faults += [f"  left over: {name}" for name in found if name not in wanted]
    return faults + [
        f"  {name}: {tuple(found[name].shape)} there, {tuple(value.shape)} here"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]


def _fit_positions(found: State, wanted: State, model: Any) -> tuple[Tensor, bool]:
    """Resize the file's positional embedding ``(1, N, D)`` to the model's grid."""
    table, own = found["backbone.pos_embed"], wanted["backbone.pos_embed"]
    token = "backbone.cls_token" in found
    if not token and grid_of(table.shape[1]) is None and grid_of(table.shape[1] - 1) is not None:
        token = True  # an odd table whose class token has been taken out of the file
    if token and "backbone.cls_token" not in wanted:
        table, token = table[:, 1:], False
    if table.shape == own.shape:
        return table, False
    source, target = grid_of(table.shape[1] - token), getattr(model.backbone, "grid", None)
    if source is None or target is None:
        return table, False  # reported as a difference
    return resize_pos_embed(table, source, target, num_prefix_tokens=int(token)), True
