"""The largest batch that a GPU holds, by trying (``data.batch_size=auto``).

Lightning's finder writes a checkpoint of the whole run for it, and leaves the batches of
validations as they are. Here a step is tried without the optimizer, whose moments are reserved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import lightning as L
import torch
from torch import Tensor

from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.sample import Sample, collate
from sapiens_lab.ranges import Count
from sapiens_lab.training.learner import Learner

log = logging.getLogger(__name__)

_MARGIN = 0.9  # of what fits: memory is fragmented later
_LIMIT = 4096


def choose_batch_size(learner: Learner, datamodule: DataModule, trainer: L.Trainer) -> Count:
    """Return how many samples of training fit into the memory of the GPU.

    Raises:
        ValueError: the run is not on one GPU, or not even one sample fits.
    """
    device = trainer.strategy.root_device
    if device.type != "cuda":
        raise ValueError(
            f"data.batch_size=auto tries how much the memory of a GPU holds, and this run is on "
            f"{device.type}: give a number"
        )
    if trainer.world_size > 1:
        raise ValueError(
            "data.batch_size=auto tries on one GPU: find the number with trainer.devices=1, then "
            "give it"
        )
    sample = first_sample(datamodule)
    limit = min(_LIMIT, len(datamodule.dataset("train")))
    learner.to(device)
    fitting = largest(lambda n: fits(learner, trainer, sample, n), limit)
    if fitting == 0:
        raise ValueError(
            "data.batch_size=auto: not even one sample fits. Try backbone.activation_checkpointing"
            "=true, tune=lora, a smaller backbone or image_size"
        )
    chosen = fitting if fitting == limit else max(1, int(_MARGIN * fitting))
    log.info("data.batch_size=auto: %d fit, of which %d are used", fitting, chosen)
    return chosen


def largest(is_possible: Callable[[int], bool], limit: int) -> int:
    """Return the largest possible number up to ``limit``, to within an eighth; 0 if none is."""
    low, high = 0, 1
    while high <= limit and is_possible(high):
        low, high = high, high * 2
    if high > limit:
        if is_possible(limit):
            return limit
        high = limit
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        if is_possible(middle):
            low = middle
        else:
            high = middle
    return low


def first_sample(datamodule: DataModule) -> Sample:
    """Return a transformed training sample.

    Raises:
        ValueError: none can be read.
    """
    dataset = datamodule.train_dataloader().dataset
    for index in range(len(datamodule.dataset("train"))):
        sample = dataset[index]
        if isinstance(sample, Sample):
            return sample
    raise ValueError("no sample of the training set can be read")


def fits(learner: Learner, trainer: L.Trainer, sample: Sample, num: int) -> bool:
    """Try a step on ``num`` copies of a sample, without changing the model."""
    model = learner.model
    trained = [p for p in model.parameters() if p.requires_grad]
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    device = trainer.strategy.root_device
    try:
        _reserved = [torch.empty_like(p) for p in trained for _ in range(2)]  # AdamW's moments
        batch = collate([sample] * num).to(device)
        model.train()
        with trainer.precision_plugin.forward_context():
            terms: dict[str, Tensor] = learner.task.compute_loss(model(batch.image), batch)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        return False
    finally:
        for parameter in trained:
            parameter.grad = None
        for name, tensor in model.named_buffers():
            tensor.copy_(buffers[name])
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return True
