"""A callback that breaks a run off, as Ctrl-C or a failing disk would."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback


class Interrupt(Callback):
    """Raise ``KeyboardInterrupt`` before a training step.

    Args:
        step: optimiser steps that are done by then.
    """

    def __init__(self, *, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt
