"""``Network``: a model, how its images are cropped, and what its outputs mean."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sapiens_lab.data.crops import Resize
from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.fields import Image
from sapiens_lab.data.sample import Batch, Meta, Sample, collate
from sapiens_lab.data.transforms import CropToBox, ExpandBox, Transform, Warp
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.tasks_of_weights import believed, multitask_of, task_of
from sapiens_lab.models.heads import MultiHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.task import Task
from sapiens_lab.weights.files import TENSORS, read_weights
from sapiens_lab.weights.model import load_model

log = logging.getLogger(__name__)

_MAX_PADDING = 100  # of a box; the official one is 1.25
_FIXED = np.random.default_rng(0)  # the steps of an evaluation draw nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the model gave for one sample; ``Network.predict`` brings it to the source image."""

    values: Any  # a tensor (C, h, w), or one for each task
    meta: Meta
    image: Tensor  # (3, H, W) uint8, the input


class Network:
    """Images and boxes in, predictions in the source image out: exactly what is evaluated.

    Args:
        model: on its device, in evaluation mode.
        task: reads the outputs.
        steps: of the evaluation, from the image as read to the input.
        takes_boxes: whether it looks at one person at a time.
        origin: the released name or the path.
        license: of the weights.
        dtype: in which the model computes, where that is not float32.
    """

    def __init__(
        self,
        model: Sapiens,
        task: Task,
        steps: Sequence[Transform],
        *,
        takes_boxes: bool,
        origin: str,
        license: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.model, self.task, self.steps = model, task, tuple(steps)
        self.takes_boxes, self.origin, self.license = takes_boxes, origin, license
        self.dtype = dtype
        self.device = model.mean.device
        self._largest = 1 << 30  # samples that fit into memory together

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that it answers, by name."""
        if isinstance(self.task, MultiTask):
            return {n: t for n, t in self.task.tasks.items() if isinstance(t, Task)}
        return {self.task.name: self.task}

    def samples(
        self, pixels: NDArray[np.uint8], name: str | Path, boxes: Boxes | None
    ) -> list[Sample]:
        """Return the inputs of one image: one for each box, or the whole image.

        Args:
            pixels: ``(H, W, 3)`` RGB.
            name: of the image.
            boxes: ``None`` looks at the image as a whole.
        """
        whole = make_sample(Image(pixels=pixels), name, 0)
        if boxes is None or not self.takes_boxes:
            return [self._cropped(whole)]
        return [
            self._cropped(
                replace(
                    whole,
                    bbox=box,
                    meta=replace(whole.meta, id=i, bbox=box, bbox_score=float(score)),
                )
            )
            for i, (box, score) in enumerate(zip(boxes.xyxy, boxes.scores, strict=True))
        ]

    def _cropped(self, sample: Sample) -> Sample:
        for step in self.steps:
            moved = step(sample, _FIXED)
            assert moved is not None  # only the steps of a training reject
            sample = moved
        return sample

    def run(self, samples: Sequence[Sample], batch_size: int) -> list[Output]:
        """Return the model's outputs, the flipped images averaged in where the task says so.

        Where a batch does not fit into the GPU's memory it is halved, and so are those to come.

        Raises:
            torch.OutOfMemoryError: not even one image fits.
        """
        outputs: list[Output] = []
        while len(outputs) < len(samples):
            size = min(batch_size, self._largest)
            batch = collate(samples[len(outputs) : len(outputs) + size])
            try:
                values = self._forward(batch.image)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._largest = len(batch) // 2
                log.warning(
                    "%d images at once do not fit into the memory of %s; from here on it is %d",
                    len(batch), self.device, self._largest,
                )  # fmt: skip
                torch.cuda.empty_cache()
                continue
            outputs += [
                Output(values=_row(values, i), meta=meta, image=batch.image[i])
                for i, meta in enumerate(batch.meta)
            ]
        return outputs

    @torch.inference_mode()
    def _forward(self, image: Tensor) -> Any:
        image = image.to(self.device, non_blocking=True)
        with self._precision():
            output = self.model(image)
            if self.task.flip_test:
                output = self.task.average_flipped(output, self.model(image.flip(-1)))
        return _float(output)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.dtype in (None, torch.float32):
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @torch.inference_mode()
    def predict(self, outputs: Sequence[Output]) -> dict[str, list[Any]]:
        """Bring outputs to the source image: for each task, a prediction for each output."""
        if not outputs:
            return {name: [] for name in self.tasks}
        batch = Batch(
            image=torch.stack([output.image for output in outputs]),
            meta=[output.meta for output in outputs],
        )
        values = _stacked([output.values for output in outputs])
        if not isinstance(self.task, MultiTask):
            return {self.task.name: list(self.task.predict(values, batch))}
        rows = self.task.predict(values, batch)
        return {name: [row[name] for row in rows] for name in self.tasks}


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
    where = where.removesuffix(f"/{TENSORS}")
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
        origin=where,
        license=found.license,
        dtype=dtype,
    )


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


def _float(values: Any) -> Any:
    """Return outputs in float32, of which coordinates and small differences are made."""
    if isinstance(values, Mapping):
        return {name: value.float() for name, value in values.items()}
    return values.float()


def _row(values: Any, index: int) -> Any:
    if isinstance(values, Mapping):
        return {name: value[index] for name, value in values.items()}
    return values[index]


def _stacked(rows: Sequence[Any]) -> Any:
    if isinstance(rows[0], Mapping):
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return torch.stack(list(rows))
