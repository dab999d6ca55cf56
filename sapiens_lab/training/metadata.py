"""What a run writes into its checkpoints and its export, so that each describes itself."""

from __future__ import annotations

from typing import Any

from torch import nn

from sapiens_lab.data.crops import CenterCrop, Resize
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.transforms import ExpandBox, Warp
from sapiens_lab.models.lora import lora_scale
from sapiens_lab.models.spec import HasSpec
from sapiens_lab.tasks.task import Task
from sapiens_lab.weights.description import Description

_SAMPLING = ("antialias", "replicate_edge")  # of ``Warp``, as the evaluation has them


def describe_run(
    model: nn.Module,
    task: Task,
    data: DataModule | None,
    *,
    origin: str | None = None,
    license: str | None = None,
) -> Description:
    """Return the description of a model in training.

    Args:
        model: its ``spec`` is taken where it has one.
        task: says what the outputs mean.
        data: its evaluation transforms say how images are cropped.
        origin: the weights from which training started.
        license: of those weights.

    Raises:
        ValueError: a part of the model cannot say how it is built; names it.
    """
    return Description(
        model=model.spec() if isinstance(model, HasSpec) else None,
        task=task.metadata(),
        input={} if data is None else crop_rule(data),
        lora_scale=lora_scale(model),
        origin=origin,
        license=license,
    )


def crop_rule(data: DataModule) -> dict[str, Any]:
    """Return how the evaluation crops an image for the model, as plain values."""
    steps = data.transforms("eval")
    warps = [step for step in steps if isinstance(step, Warp)]
    sampling = {name: any(getattr(w, name) for w in warps) for name in _SAMPLING}
    if any(isinstance(step, Resize) for step in steps):
        return {"crop": "whole", **sampling}  # the whole image, whatever its aspect
    if any(isinstance(step, CenterCrop) for step in steps):
        return {"crop": "center", **sampling}
    padding = [step.factor for step in steps if isinstance(step, ExpandBox)]
    return {"crop": "box", "box_padding": padding[0] if padding else 1.0, **sampling}
