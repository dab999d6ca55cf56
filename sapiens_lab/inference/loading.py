"""``load_network``: from weights and what they say of themselves to a ``Network``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from sapiens_lab.data.crops import Resize
from sapiens_lab.data.transforms import CropToBox, ExpandBox, Transform, Warp
from sapiens_lab.inference.network import Network
from sapiens_lab.inference.tasks_of_weights import believed, multitask_of, task_of
from sapiens_lab.models.heads import MultiHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.task import Task
from sapiens_lab.weights.files import TENSORS, Weights, read_weights
from sapiens_lab.weights.model import load_model

_MAX_PADDING = 100  # of a box; the official one is 1.25


def load_network(
    source: str | Path,
    *,
    task: str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    compile: bool = False,
    flip_test: bool | None = None,
    trust_import_paths: bool = False,
) -> Network:
    """Return the network that weights describe.

    Args:
        source: as for ``load_model``.
        task: of a model with several, the one that is wanted; any other must be for it.
        device: where it runs.
        dtype: in which it computes; the parameters stay float32.
        compile: run it through ``torch.compile``.
        flip_test: average with the flipped image; ``None`` as the weights say.
        trust_import_paths: as for ``load_model``.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they cannot be read or do not predict anything in an image.
    """
    found = read_weights(source)
    weights = replace(found, description=found.describe())  # derived, and logged, once
    assert weights.description is not None
    values, rule, where = weights.description.task, weights.description.input, weights.origin
    with believed(where):
        _check_task(values, task, where)
    model = load_model(weights, trust_import_paths=trust_import_paths, device=device)
    assert isinstance(model, Sapiens)
    with believed(where):
        meaning = _task(model, values, flip_test, where)
        steps = _steps(rule, model.backbone.image_size, where)
    if isinstance(meaning, MultiTask) and task is not None:
        meaning = _single(model, meaning, task, where)
    if compile:
        model.compile()
    return Network(
        model,
        meaning,
        steps,
        takes_boxes=rule.get("crop") == "box",
        origin=_origin(found),
        license=found.license,
        dtype=dtype,
    )


def _origin(weights: Weights) -> str:
    """Return the released name, or path and date: a run may write an export again."""
    if weights.release is not None:
        return weights.release.name
    written = datetime.fromtimestamp(weights.path.stat().st_mtime).isoformat(" ", "seconds")
    return f"{weights.origin.removesuffix(f'/{TENSORS}')} of {written}"


def _check_task(values: Mapping[str, Any], task: str | None, where: str) -> None:
    """Refuse weights for something else before the model is built."""
    name = str(values.get("name", "unknown"))
    if task not in (None, name) and task not in values.get("tasks", ()):
        raise ValueError(f"{where} is a model for {name}, not for {task}")
    if name in ("pretrain", "unknown"):
        task_of(values, num_outputs=0, flip_test=None, where=where)  # says why not


def _task(model: Sapiens, values: Mapping[str, Any], flip_test: bool | None, where: str) -> Task:
    counts = _num_outputs(model)
    if isinstance(counts, Mapping):
        return multitask_of(values, num_outputs=counts, flip_test=flip_test, where=where)
    return task_of(values, num_outputs=counts, flip_test=flip_test, where=where)


@torch.inference_mode()
def _num_outputs(model: Sapiens) -> int | dict[str, int]:
    """Return the channels that the head gives, or those of each head."""
    backbone = model.backbone
    features = torch.zeros(1, backbone.embed_dim, 4, 4, device=model.mean.device)
    output = model.head(features)
    if isinstance(output, Mapping):
        return {name: int(value.shape[1]) for name, value in output.items()}
    return int(output.shape[1])


def _single(model: Sapiens, task: MultiTask, name: str, where: str) -> Task:
    """Leave one head of several in a model, and return its task."""
    if not isinstance(model.head, MultiHead):
        raise ValueError(f"{where}: its heads cannot be taken apart; leave task={name} out")
    model.head = model.head.heads[name]
    chosen = task.tasks[name]
    assert isinstance(chosen, Task)
    return chosen


def _steps(rule: Mapping[str, Any], size: tuple[int, int], where: str) -> tuple[Transform, ...]:
    """Return the steps of the evaluation that a description states."""
    warp = Warp(
        size,
        antialias=bool(rule.get("antialias", False)),
        replicate_edge=bool(rule.get("replicate_edge", False)),
    )
    if rule.get("crop") == "whole":
        return Resize(size), warp
    if rule.get("crop") == "box":
        padding = float(rule.get("box_padding", 1.0))
        if not 0 < padding < _MAX_PADDING:
            raise ValueError(f"{where}: a box_padding of {padding} makes no sense; export it again")
        return ExpandBox(padding), CropToBox(size), warp
    raise ValueError(
        f"{where} does not say how images are cropped for it (crop: {rule.get('crop')!r}); "
        "export it again with the run that trained it"
    )
