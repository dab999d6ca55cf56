"""Filling a model from a file, with a report of what was used and what was not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor, nn

from sapiens_lab.anatomy.matching import match_names, places_of
from sapiens_lab.models.backbone import Backbone
from sapiens_lab.weights.description import output_aliases, output_names
from sapiens_lab.weights.families import State
from sapiens_lab.weights.files import Weights, read_weights

HeadInit = Literal["auto", "keep", "drop", "by_name"]


class _Outputs(NamedTuple):
    names: Sequence[str]
    aliases: Mapping[str, Sequence[str]]


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """What became of every tensor."""

    source: str
    license: str | None = None  # of the weights, where it is known
    matched: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)  # positional embedding for another grid
    by_name: list[str] = field(default_factory=list)  # outputs whose rows were copied: "a (of b)"
    new_outputs: list[str] = field(default_factory=list)  # outputs that the file does not have
    initialized: list[str] = field(default_factory=list)  # ours, left as they were
    unused: list[str] = field(default_factory=list)  # the file's, not needed

    @property
    def unused_head(self) -> list[str]:
        """Tensors of the file's head that were not needed."""
        return [name for name in self.unused if name.startswith("head.")]

    def __str__(self) -> str:
        lines = [f"weights from {self.source}: {len(self.matched)} tensors matched"]
        for label, names, most in (
            ("resized", self.resized, 4),
            (f"outputs copied by name ({len(self.by_name)})", self.by_name, 40),
            (f"new outputs ({len(self.new_outputs)})", self.new_outputs, 40),
            ("newly initialized", self.initialized, 4),
            ("unused", self.unused, 4),
        ):
            if names:
                more = f" and {len(names) - most} more" if len(names) > most else ""
                lines.append(f"  {label}: {', '.join(names[:most])}{more}")
        return "\n".join(lines)


def load_weights(
    model: nn.Module,
    source: str | Path | Weights,
    *,
    head: HeadInit = "auto",
    outputs: Sequence[str] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> LoadReport:
    """Copy a file's tensors into a model.

    Args:
        model: ``Sapiens`` or ``MaskedAutoencoder``; is changed in place.
        source: what ``read_weights`` understands: a file of any official kind, an export or a
            checkpoint of our own, the name of a released model, a hub id.
        head: ``auto`` takes the head as far as its shapes fit (another number of keypoints gets a
            new last layer), ``keep`` demands all of it, ``drop`` takes none, ``by_name`` copies
            the outputs whose names both sides know.
        outputs: names of the model's outputs (keypoints, classes), for ``by_name``.
        aliases: what the file may call an output instead; the file's own aliases count too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or its encoder is not the model's; says how.
    """
    if head not in ("auto", "keep", "drop", "by_name"):
        raise ValueError(f"head_init={head}: choose auto, keep, drop or by_name")
    weights = source if isinstance(source, Weights) else read_weights(source)
    report = LoadReport(source=str(weights.path), license=weights.license)
    target = model.state_dict()
    new = _encoder(weights, target, model, report)
    new |= _decoder(weights.state, target, report)
    names = None if outputs is None else _Outputs(outputs, aliases or {})
    new |= _head(weights, target, head, names, report)
    model.load_state_dict(new, strict=False)
    report.initialized = [name for name in target if name not in new]
    used = {*new, *report.unused}
    report.unused += [name for name in weights.state if name not in used]
    return report


def _encoder(weights: Weights, target: State, model: nn.Module, report: LoadReport) -> State:
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise ValueError(f"{type(model).__name__} has no backbone to load weights into")
    wanted = _below("backbone.", target)
    found = _below("backbone.", weights.state)
    fitted = backbone.fit_state(found, weights.grid)
    report.unused += [f"backbone.{name}" for name in found if name not in fitted]
    report.resized += [
        f"backbone.{name}" for name in fitted if fitted[name].shape != found[name].shape
    ]
    faults = _differences(fitted, wanted)
    if faults and _sizes(found) == _sizes(wanted):
        raise ValueError(
            f"{report.source} is incomplete, or its encoder is built otherwise:\n"
            + "\n".join(faults[:6])
        )
    if faults:
        raise ValueError(
            f"the encoder in {report.source} is not this model's: "
            f"{_sizes(found)} there, {_sizes(wanted)} here.\n"
            + "\n".join(faults[:6])
            + "\nChoose the encoder of the file with `backbone=`. (A patch size other than the "
            "file's would throw the pretraining away.)"
        )
    named = {f"backbone.{name}": value for name, value in fitted.items()}
    report.matched += [name for name in named if name not in report.resized]
    return named


def _sizes(state: State) -> str:
    """Describe an encoder by its tensors, for messages."""
    kernel = state.get("patch_embed.weight")
    if kernel is None:
        return f"{sum(value.numel() for value in state.values()) / 1e6:.1f} M parameters"
    layers = {m.group(1) for name in state if (m := re.search(r"(?:^|\.)layers\.(\d+)\.", name))}
    return f"width {kernel.shape[0]}, {len(layers)} layers, patches of {kernel.shape[-1]}"


def _below(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


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
    mode: HeadInit,
    outputs: _Outputs | None,
    report: LoadReport,
) -> State:
    wanted = {k: v for k, v in target.items() if k.startswith("head.")}
    found = {k: v for k, v in weights.state.items() if k.startswith("head.")}
    if mode == "drop" or not found:
        if mode == "keep":
            raise ValueError(f"{report.source} has no head to keep")
        return {}
    faults = _differences(found, wanted)
    if mode == "keep" and faults:
        raise ValueError(f"the head in {report.source} differs:\n" + "\n".join(faults[:6]))
    last = [name for name in wanted if name.split(".")[-2] == "out"]
    fitting = {k: v for k, v in found.items() if k in wanted and v.shape == wanted[k].shape}
    inner = {k: v for k, v in fitting.items() if k not in last}
    if not faults and mode != "by_name":
        inner = found
    elif not {name for name in wanted if name not in last} <= set(inner):
        return {}  # other widths: half a head is worth nothing
    report.matched += inner
    return inner | (_rows_by_name(weights, target, outputs, report) if mode == "by_name" else {})


def _rows_by_name(
    weights: Weights, target: State, outputs: _Outputs | None, report: LoadReport
) -> State:
    """Copy the rows of the last layer whose names both sides know."""
    theirs = output_names(weights.task)
    if theirs is None or outputs is None:
        side = report.source if theirs is None else "this task"
        raise ValueError(
            f"head_init=by_name: the names of the outputs of {side} are not known; use auto"
        )
    places = places_of(theirs, output_aliases(weights.task))
    found = match_names(outputs.names, places, outputs.aliases)
    pairs = [(i, j) for i, j in enumerate(found) if j is not None]
    if not pairs:
        raise ValueError(
            f"head_init=by_name: {report.source} has none of this task's outputs "
            f"({', '.join(outputs.names[:4])}, ...), but {', '.join(theirs[:4])}, ...; `aliases:` "
            "in a skeleton says what they are called there"
        )
    rows = {}
    for name in ("head.out.weight", "head.out.bias"):
        rows[name] = target[name].clone()
        for i, j in pairs:
            rows[name][i] = weights.state[name][j].to(rows[name])
    for i, j in pairs:
        ours, source = outputs.names[i], theirs[j]
        report.by_name.append(ours if ours == source else f"{ours} (of {source})")
    report.new_outputs = [n for n, j in zip(outputs.names, found, strict=True) if j is None]
    return rows


def _differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    faults = [f"  missing: {name}" for name in wanted if name not in found]
    faults += [f"  left over: {name}" for name in found if name not in wanted]
    return faults + [
        f"  {name}: {tuple(found[name].shape)} there, {tuple(value.shape)} here"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
