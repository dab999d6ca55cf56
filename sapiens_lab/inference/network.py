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

from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.fields import Image
from sapiens_lab.data.sample import Batch, Meta, Sample, collate
from sapiens_lab.data.transforms import Transform
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.task import Task

log = logging.getLogger(__name__)

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
