"""Callbacks that break a run off, as Ctrl-C, a power cut or a diverging loss would."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback


class Interrupt(Callback):
    """Raise ``KeyboardInterrupt`` before a training step.

    Args:
        step: optimizer steps that are done by then.
    """

    def __init__(self, *, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


class Kill(Interrupt):
    """End the process before a training step, without a word to it."""

    def on_train_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Signal(Callback):
    """Send this process a signal, as a scheduler or a closed terminal does.

    Args:
        number: of the signal.
        hook: where, e.g. ``on_before_optimizer_step``.
        step: optimizer steps that are done by then.
    """

    def __init__(self, *, number: int, hook: str, step: int) -> None:
        self.number, self.step, self.is_sent = number, step, False
        setattr(self, hook, self._send)

    def _send(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step and not self.is_sent:
            self.is_sent = True
            os.kill(os.getpid(), self.number)


class SmallFiles(Callback):
    """Let files not grow beyond a size any more, as a full disk does.

    Args:
        largest: [bytes].
        step: optimizer steps that are done by then.
    """

    def __init__(self, *, largest: int, step: int) -> None:
        self.largest, self.step = largest, step

    def on_train_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.step:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest, hard))


class Poison(Callback):
    """Make one gradient NaN in some steps.

    Args:
        steps: numbers of the batches.
    """

    def __init__(self, *, steps: Sequence[int]) -> None:
        self.steps, self.seen = set(steps), -1

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self.seen += 1
        if self.seen in self.steps:
            next(p for p in pl_module.parameters() if p.grad is not None).grad.mul_(float("nan"))
