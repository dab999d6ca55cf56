"""The checkpoint from which a run continues, and the stop between two steps that it allows."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint

from sapiens_lab import signals
from sapiens_lab.atomic import WriteError
from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Count

_VALIDATION = "epoch_loop.val_loop.batch_progress"
_NOTHING = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


class LastCheckpoint(ModelCheckpoint):
    """Keep the latest state of a run; save it once more where an error or a signal ends the run.

    Signals wait for the end of a step: a state from its middle has new weights and old counters.
    After a signal within a validation, the continued run repeats the whole of it.

    Args:
        dirpath: folder of the checkpoint.
        filename: without ``.ckpt``.
        every_n_epochs: save after validations of every such epoch; the default.
        every_n_train_steps: save after so many steps instead.
        train_time_interval: save after so much time instead.
    """

    def __init__(
        self,
        *,
        dirpath: str,
        filename: str = "last",
        every_n_epochs: Count | None = None,
        every_n_train_steps: Count | None = None,
        train_time_interval: timedelta | None = None,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            train_time_interval=train_time_interval,
            save_on_exception=True,
            enable_version_counter=False,
        )
        self._is_whole = False  # whether weights and counters belong together
        self._is_repeated = False  # whether a continued run validates first

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let signals wait from here on."""
        super().on_train_start(trainer, pl_module)
        self._is_whole = True
        if not SLURMEnvironment.detect():  # where a signal may mean to requeue the job
            signals.install()  # Lightning's handler talks to other processes from within
        signals.delay(True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let signals end the program at once again."""
        super().on_train_end(trainer, pl_module)
        signals.delay(False)
        signals.stop_if_requested()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Stop here where a signal has asked for it, all processes together."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        wanted = signals.requested() is not None
        if trainer.world_size > 1:
            wanted = trainer.strategy.reduce_boolean_decision(wanted, all=False)
        if wanted:
            raise signals.Stopped(signals.requested() or signal.SIGTERM)

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Note that the weights are about to change."""
        self._is_whole = False

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Note that the step is complete."""
        self._is_whole = True
        super().on_train_batch_end(trainer, *args, **kwargs)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Stop here where a signal has asked for it; several processes finish the validation."""
        if trainer.state.fn == "fit" and trainer.world_size == 1:
            signals.stop_if_requested()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save the state, unless it is that of the middle of a step or the disk is full."""
        # A step without a finite gradient has changed nothing.
        is_whole = self._is_whole or isinstance(exception, FloatingPointError)
        if is_whole and not isinstance(exception, WriteError):
            self._is_repeated = trainer.validating
            super().on_exception(trainer, pl_module, exception)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a validation that was interrupted begin again: its metrics are not saved."""
        if self._is_repeated:
            loops = checkpoint["loops"]["fit_loop"]
            loops[_VALIDATION] = {
                "total": dict(_NOTHING), "current": dict(_NOTHING), "is_last_batch": False
            }  # fmt: skip
