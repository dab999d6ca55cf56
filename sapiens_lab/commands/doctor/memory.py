"""The section "memory": whether a step fits, and what would make it fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from sapiens_lab.atomic import size
from sapiens_lab.commands.doctor.composing import build, build_shell, composed
from sapiens_lab.commands.doctor.config import Built
from sapiens_lab.commands.doctor.diagnosis import Line, Section
from sapiens_lab.commands.doctor.machine import memory_bytes
from sapiens_lab.training.memory import StepMemory, estimate_step

_USABLE = 0.9  # of a device's memory: the rest is the allocator's and the driver's
_SMALLER = (512, 384)  # (height, width) that a third as much memory is enough for
# Words of the command line, from what costs nothing to what costs accuracy.
_CHANGES = (
    (),
    ("backbone.activation_checkpointing=true",),
    ("tune=lora",),
    (f"image_size=[{_SMALLER[0]},{_SMALLER[1]}]",),
    ("tune=lora", "backbone.activation_checkpointing=true"),
    ("tune=head",),
)


class Device(NamedTuple):
    """Where a step must fit."""

    name: str
    total: int  # bytes


def device_of(config: DictConfig) -> Device | None:
    """Return the device that the config trains on, if its memory is known."""
    wants_cpu = config.trainer.get("accelerator") == "cpu"
    if torch.cuda.is_available() and not wants_cpu:
        properties = torch.cuda.get_device_properties(0)
        return Device(properties.name, properties.total_memory)
    total = memory_bytes()
    return None if total is None else Device("the processor's memory", total)


def examine_memory(
    config: DictConfig, built: Built, words: Sequence[str], device: Device | None
) -> Section:
    """Compare the estimate of a step with a device."""
    return Section.of("memory", _lines(config, built, words, device))


def _lines(
    config: DictConfig, built: Built, words: Sequence[str], device: Device | None
) -> Iterator[Line]:
    is_auto = config.data.batch_size == "auto"  # a run finds what fits
    batch_size, image_size = 1 if is_auto else int(config.data.batch_size), _image_size(config)
    step = estimate_step(built.learner.model, image_size)
    needed = step.of_batch(batch_size)
    text = (
        f"about {size(needed)} for a step of {batch_size} samples of {image_size[0]}x"
        f"{image_size[1]} in float32: {size(step.states)} for weights, gradients and AdamW, "
        f"{size(step.per_sample)} for each sample"
    )
    yield from _loading(config, batch_size, image_size)
    if device is None or needed <= _USABLE * device.total:
        room = f" of {size(device.total)} ({device.name})" if device else ""
        yield Line(status="ok", name="step", text=f"{text}{room}")
        return
    remedies = suggestions(
        batch_size,
        _USABLE * device.total,
        lambda change: _estimate([*words, *change], image_size) if change else step,
    )
    yield Line(
        status="warning",
        name="step",
        text=f"{text}; {device.name} has {size(device.total)}",
        remedy=",\nor ".join(remedies) or "a smaller backbone: nothing else makes it fit",
    )


def suggestions(
    batch_size: int,
    room: float,
    estimate: Callable[[Sequence[str]], StepMemory | None],
) -> list[str]:
    """Return overrides that make a step fit, each with a larger batch than those before it.

    Args:
        batch_size: as configured.
        room: bytes of the device.
        estimate: says what a step takes with further overrides; ``None`` if they do not apply.
    """
    found: list[str] = []
    largest = 0
    for change in _CHANGES:
        step = estimate(change)
        fit = 0 if step is None else fitting_batch(step, batch_size, room)
        if fit > largest:
            largest = fit
            found.append(_with_batch(change, batch_size, fit))
    return found


def fitting_batch(step: StepMemory, batch_size: int, room: float) -> int:
    """Return the largest batch, halved from ``batch_size``, that fits; 0 if none does."""
    while batch_size and step.of_batch(batch_size) > room:
        batch_size //= 2
    return batch_size


def _with_batch(change: Sequence[str], wanted: int, fit: int) -> str:
    words = list(change)
    if fit != wanted:
        words += [f"data.batch_size={fit}", f"trainer.accumulate_grad_batches={-(-wanted // fit)}"]
    return " ".join(words)


def _estimate(words: Sequence[str], image_size: tuple[int, int]) -> StepMemory | None:
    """Compose again with these words and estimate; ``None`` if they do not make it smaller."""
    try:
        with composed(words) as config:
            learner = build_shell(config, "learner")
            tune = build(config, "tune")
            with torch.device("meta"):
                tune(learner.model)
            changed = _image_size(config)
            return None if changed > image_size else estimate_step(learner.model, changed)
    except Exception:  # a change need not apply to every model
        return None


def _loading(config: DictConfig, batch_size: int, image_size: tuple[int, int]) -> Iterator[Line]:
    """Compare the batches that loading processes hold ready with the shared memory."""
    workers = config.data.get("num_workers")
    workers = min(8, os.cpu_count() or 1) if workers is None else int(workers)
    try:
        room = os.statvfs("/dev/shm")
    except (OSError, AttributeError):
        return
    free = room.f_bavail * room.f_frsize
    needed = 2 * workers * batch_size * 3 * image_size[0] * image_size[1]  # 2: PyTorch's prefetch
    if needed > free:
        yield Line(
            status="warning",
            name="loading",
            text=f"{workers} loading processes hold {size(needed)} of images ready, and /dev/shm "
            f"has {size(free)}: they die of a bus error",
            remedy="docker run --shm-size=8g, or data.num_workers=0",
        )


def _image_size(config: DictConfig) -> tuple[int, int]:
    return int(config.image_size[0]), int(config.image_size[1])
