"""A model from a file, and a file from a model: no config and no trainer needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sapiens_lab import atomic
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.spec import HasSpec, Spec, build
from sapiens_lab.weights.description import Description
from sapiens_lab.weights.families import Hints
from sapiens_lab.weights.files import CONFIG, EXPORT_ID, TENSORS, Weights, read_weights
from sapiens_lab.weights.load import load_weights
from sapiens_lab.weights.reading import file_crc

TaskName = Literal["pretrain", "pose", "segmentation", "depth", "normal", "multitask"]


def load_model(
    source: str | Path | Weights,
    *,
    task: TaskName | str | None = None,
    image_size: tuple[int, int] | None = None,
    num_heads: int | None = None,
    decoder_heads: int | None = None,
    patch_padding: int | None = None,
    trust_import_paths: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Sapiens | MaskedAutoencoder:
    """Return the model that a file holds, in evaluation mode.

    A file of ours says how its model is built. Of an official file the sizes are read off the
    tensors. A full MAE file gives a ``MaskedAutoencoder``; an encoder alone gives a ``Sapiens``
    whose head passes features on.

    Args:
        source: an official file of any kind, an export's folder, a checkpoint of ours, the name of
            a released model (``sapiens_lab.list_models()``), a file of the hub, or what
            ``read_weights`` returned.
        task: what the file must be for; only needed to refuse another.
        image_size: (height, width) to work at; the positional embedding is resized to it.
        num_heads: attention heads of an official file whose width was never released.
        decoder_heads: the same for the decoder of a masked autoencoder.
        patch_padding: zeros around the image, for an official file; by default those of the
            released model or of the task, and which it was is logged.
        trust_import_paths: also import classes from outside this package that the file names,
            which runs their code.
        device: where the parameters go.
        dtype: of the parameters, e.g. ``torch.bfloat16``.

    Raises:
        FileNotFoundError: there is no such file or name.
        ValueError: it is damaged, not a known model, of another task, needs classes that are not
            trusted, or a number must be given.
    """
    weights = source if isinstance(source, Weights) else read_weights(source)
    hints = Hints(num_heads=num_heads, decoder_heads=decoder_heads, patch_padding=patch_padding)
    description = weights.describe(hints)
    if task is not None and task != description.task_name:
        raise ValueError(f"{weights.origin} is a model for {description.task_name}, not for {task}")
    model = _built(weights, description, image_size, trust_import_paths)
    report = load_weights(model, weights)
    if report.initialized or report.unused_head:
        names = ", ".join((report.initialized + report.unused_head)[:5])
        raise ValueError(f"{weights.origin} and its description differ: {names}, ...")
    return model.eval().to(device=device, dtype=dtype)


def _built(
    weights: Weights,
    description: Description,
    image_size: tuple[int, int] | None,
    trust_import_paths: bool,
) -> Sapiens | MaskedAutoencoder:
    if description.model is None:
        raise ValueError(
            f"{weights.path} does not say how its model is built: the class that was trained has "
            "no `spec()` (see docs/adding.md). Build the model and use load_weights"
        )
    spec = dict(description.model)
    _check_counts(spec, len(weights.state), weights.path)
    if not trust_import_paths:
        _check_size(spec, weights.state, weights.path)
    if image_size is not None:
        spec["backbone"] = {**spec["backbone"], "image_size": list(image_size)}
    model = build(spec, trust_import_paths=trust_import_paths)
    if not isinstance(model, Sapiens | MaskedAutoencoder):
        raise ValueError(f"{weights.path} holds a {type(model).__name__}, which is not a model")
    return model


def _check_counts(spec: Spec, num_tensors: int, path: Path) -> None:
    """Refuse a description with more layers than tensors before anything is built from it."""
    for name, value in spec.items():
        if isinstance(value, Mapping):
            _check_counts(dict(value), num_tensors, path)
        elif name.endswith("layers") and isinstance(value, int) and value > num_tensors:
            raise ValueError(f"{path} says {name}={value} and holds {num_tensors} tensors only")
        elif isinstance(value, list | tuple) and len(value) > max(num_tensors, 16):
            raise ValueError(f"{path} has {len(value)} values for {name}, more than it has tensors")


def _check_size(spec: Spec, state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a description of a model that is larger than the file, before memory is taken."""
    with torch.device("meta"):
        shell = build(spec)
    tensors = shell.state_dict().values() if isinstance(shell, nn.Module) else ()
    wanted = sum(tensor.numel() for tensor in tensors)
    held = sum(tensor.numel() for tensor in state.values())
    if wanted > 2 * held + 1_000_000:
        raise ValueError(f"{path} describes a model of {wanted} numbers and holds {held}")


def save_model(
    model: nn.Module,
    folder: str | Path,
    *,
    task: Mapping[str, Any],
    input: Mapping[str, Any] | None = None,
    origin: str | None = None,
    license: str | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write ``model.safetensors`` and ``config.json``, which ``load_model`` reads back.

    Args:
        model: ``Sapiens`` or ``MaskedAutoencoder``; its parts say how they are built.
        folder: is made; files of an earlier export in it are replaced.
        task: plain values: its ``name``, the ``meaning`` of the outputs, e.g.
            ``{"skeleton": [names]}`` or ``{"parts": [names]}``, and how they are decoded.
        input: how images are cropped for the model, e.g. ``{"crop": "box", "box_padding": 1.25}``.
        origin: the weights from which training started.
        license: of those weights.
        state: tensors to write in place of the model's own, e.g. the best checkpoint's.

    Returns:
        The folder.

    Raises:
        ValueError: the model cannot say how it is built.
        WriteError: there is no room or no permission.
    """
    if not isinstance(model, HasSpec):
        raise ValueError(
            f"a {type(model).__name__} cannot be exported: it has no `spec()` (see docs/adding.md)"
        )
    description = Description(
        model=model.spec(), task=dict(task), input=dict(input or {}), origin=origin, license=license
    )
    folder = Path(folder)
    atomic.remove_leftovers(folder)
    tensors = _owned(model.state_dict() if state is None else state)
    # Two files cannot be replaced at once. Should only one be, its number tells.
    description = replace(description, export_id=_export_id(description, tensors))
    facts = {"format": "pt", EXPORT_ID: str(description.export_id)}
    num_bytes = sum(tensor.nbytes for tensor in tensors.values())
    with atomic.replacing(folder / TENSORS, expected_bytes=num_bytes) as file:
        save_file(tensors, file.name, metadata=facts)
        description = replace(description, crc32=file_crc(Path(file.name)))
    atomic.write_text(folder / CONFIG, json.dumps(description.to_dict(), indent=2) + "\n")
    return folder


def _export_id(description: Description, tensors: Mapping[str, Tensor]) -> str:
    """Return a number of what is exported."""
    content = hashlib.blake2b(json.dumps(description.to_dict()).encode(), digest_size=16)
    for name, tensor in tensors.items():
        content.update(name.encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def _owned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, none sharing memory with another: safetensors refuses that."""
    seen: set[int] = set()
    owned = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        owned[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return owned
