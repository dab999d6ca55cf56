"""A model from a file, and a file from a model: no config and no trainer needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.weights.architecture import (
    Architecture,
    Size,
    architecture_of,
    read_architecture,
)
from sapiens_lab.weights.files import CONFIG, TENSORS, Weights, read_weights
from sapiens_lab.weights.load import load_weights

log = logging.getLogger(__name__)

TaskName = Literal["pretrain", "pose", "segmentation", "depth", "normal"]
FORMAT = 1  # of config.json

# Zeros around the image in the official models (sapiens_v1 reference, appendix B). LIP and CIHP
# models had 2, but none was released.
PATCH_PADDING: Mapping[str, int] = {
    "pretrain": 0,
    "pose": 2,
    "segmentation": 0,
    "depth": 0,
    "normal": 2,
}


def load_model(
    source: str | Path,
    *,
    task: TaskName | None = None,
    num_heads: int | None = None,
    decoder_heads: int | None = None,
    image_size: Size | None = None,
    patch_padding: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Sapiens | MaskedAutoencoder:
    """Return the model that a file holds, in evaluation mode.

    Sizes are read off the tensors. A full MAE file gives a ``MaskedAutoencoder``; an encoder alone
    gives a ``Sapiens`` whose head passes features on.

    Args:
        source: an official file of any kind, an export's folder, a checkpoint of ours, the name of
            a released model (``sapiens_lab.list_models()``), or a file of the hub.
        task: what the file must be for; only needed to refuse another.
        num_heads: attention heads, for widths that were never released.
        decoder_heads: the same of a masked autoencoder's decoder.
        image_size: (height, width) to work at; the positional embedding is resized to it.
        patch_padding: zeros around the image; by default the released model's, the export's, or
            the official value of the task, and which it was is logged.
        device: where the parameters go.
        dtype: of the parameters, e.g. ``torch.bfloat16``.

    Raises:
        FileNotFoundError: there is no such file or name.
        ValueError: it is damaged, not a Sapiens model, of another task, or a size must be given.
    """
    weights = read_weights(source)
    found = task_of(weights)
    if task is not None and task != found:
        raise ValueError(f"{source} is a model for {found}, not for {task}")
    model = _architecture(
        weights, found, num_heads, decoder_heads, image_size, patch_padding
    ).build()
    report = load_weights(model, weights, head="auto" if found == "pretrain" else "keep")
    if report.initialized:
        raise ValueError(f"{source} lacks {', '.join(report.initialized[:5])}, ...")
    return model.eval().to(device=device, dtype=dtype)


def task_of(weights: Weights) -> str:
    """Tell what a file is for, by its card or config, else by its decoder's name and outputs."""
    if weights.card is not None:
        return weights.card.task
    if name := weights.config.get("task", {}).get("name"):
        return str(name)
    out = weights.state.get("head.out.weight")
    if out is None:
        return "multitask" if any(k.startswith("head.") for k in weights.state) else "pretrain"
    if weights.pose:
        return "pose"
    return {1: "depth", 3: "normal"}.get(int(out.shape[0]), "segmentation")


def _architecture(
    weights: Weights,
    task: str,
    num_heads: int | None,
    decoder_heads: int | None,
    image_size: Size | None,
    patch_padding: int | None,
) -> Architecture:
    if weights.config:
        shape = Architecture.from_dict(weights.config["architecture"])
        changes: dict[str, Any] = {"image_size": image_size or shape.image_size}
        if patch_padding is not None:
            changes["patch_padding"] = patch_padding
        return replace(shape, **changes)
    padding = patch_padding
    if padding is None and weights.card is not None:
        padding = weights.card.patch_padding
    if padding is None:
        padding = PATCH_PADDING.get(task, 0)
        log.info("patch padding %d, as in the official models for %s", padding, task)
    shape = read_architecture(
        weights.state,
        num_heads=num_heads,
        patch_padding=padding,
        decoder_heads=decoder_heads,
    )
    return replace(shape, image_size=image_size or shape.image_size)


def save_model(
    model: torch.nn.Module,
    folder: str | Path,
    *,
    task: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write ``model.safetensors`` and ``config.json``, which ``load_model`` reads back.

    Args:
        model: ``Sapiens`` or ``MaskedAutoencoder``.
        folder: is made; files of an earlier export in it are replaced, each at once.
        task: plain values: its ``name``, what it ``describes`` (keypoints, classes), how images
            are cropped and outputs read, the ``license`` of the weights it started from.
        state: tensors to write in place of the model's own, e.g. the best checkpoint's.

    Returns:
        The folder.

    Raises:
        ValueError: the model is of a kind that cannot be written down.
    """
    if not isinstance(model, Sapiens | MaskedAutoencoder):
        raise ValueError(f"a model of class {type(model).__name__} cannot be exported")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = _owned(model.state_dict() if state is None else state)
    config = {
        "format": FORMAT,
        "architecture": architecture_of(model).to_dict(),
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "task": dict(task or {}),
    }
    half_written, text = folder / f".{TENSORS}.part", folder / f".{CONFIG}.part"
    save_file(tensors, half_written, metadata={"format": "pt"})
    text.write_text(json.dumps(config, indent=2) + "\n")
    half_written.replace(folder / TENSORS)
    text.replace(folder / CONFIG)
    return folder


def _owned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, none sharing memory with another: safetensors refuses that."""
    seen: set[int] = set()
    owned = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        owned[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return owned
