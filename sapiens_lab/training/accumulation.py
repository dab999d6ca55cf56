"""Gradient accumulation, computed from the number of images of an optimizer step."""

from __future__ import annotations

import logging

import lightning as L

from sapiens_lab.ranges import Count

log = logging.getLogger(__name__)


def accumulate(trainer: L.Trainer, *, batch_size: Count, effective_batch: Count) -> None:
    """Set how many batches are accumulated, so that a step sees ``effective_batch`` images.

    Raises:
        ValueError: the images of one batch in all processes do not divide it, or
            ``trainer.accumulate_grad_batches`` is set to something else.
    """
    at_once = batch_size * trainer.world_size
    steps, rest = divmod(effective_batch, at_once)
    terms = f"{batch_size} images x {trainer.world_size} process" + "es" * (trainer.world_size > 1)
    if rest or not steps:
        near = max(at_once, round(effective_batch / at_once) * at_once)
        raise ValueError(
            f"effective_batch={effective_batch} is no multiple of {at_once} ({terms}). Choose "
            f"effective_batch={near}, or a data.batch_size that divides it"
        )
    if trainer.accumulate_grad_batches not in (1, steps):
        raise ValueError(
            f"effective_batch={effective_batch} makes trainer.accumulate_grad_batches {steps}, and "
            f"it is {trainer.accumulate_grad_batches} here; give one of the two"
        )
    trainer.accumulate_grad_batches = steps
    log.info("effective batch: %d = %s x %d accumulated", effective_batch, terms, steps)
