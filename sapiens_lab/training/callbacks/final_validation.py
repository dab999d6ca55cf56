"""A validation at the end of every run, so that its last weights are measured and saved."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from sapiens_lab.data.sample import Batch


class FinalValidation(Checkpoint):
    """Validate after the last step, whether epochs, steps or ``trainer.max_time`` end the run.

    Lightning validates at its interval only: the weights that are trained after the last interval
    would reach no checkpoint. It calls checkpoint callbacks after all others, and so this one after
    the timer. A run that is stopped within this validation makes up for it when it is continued.
    """

    def __init__(self) -> None:
        self._is_due = False
        self._has_ended = False

    def state_dict(self) -> dict[str, Any]:
        """Return whether the last step is made, and whether it is not yet validated."""
        return {"is_due": self._is_due, "has_ended": self._has_ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what is due; the end may be another by now."""
        self._is_due = state_dict["is_due"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for the validation that the run was stopped in."""
        if self._is_due:
            trainer.check_val_every_n_epoch = 1
            done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
            trainer.val_check_batch = max(1, done)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that it is done; the checkpoints of this validation are saved after this."""
        if not trainer.sanity_checking:
            self._is_due = False
            self._has_ended = self._has_ended or _stops_early(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Ask for a validation after the last step."""
        self._has_ended = _ends(trainer)
        if self._has_ended:
            self._is_due = True
            trainer.check_val_every_n_epoch = 1
            trainer.should_stop = True  # Lightning validates before an early stop


def refuse_empty_training(trainer: L.Trainer) -> None:
    """Refuse a run without a single step, which would export the weights that it began with.

    Raises:
        ValueError: the trainer's limits leave no step.
    """
    limits = {
        "max_epochs": trainer.max_epochs,
        "max_steps": trainer.max_steps,
        "limit_train_batches": trainer.limit_train_batches,
    }
    for name, value in limits.items():
        if value == 0:
            raise ValueError(
                f"trainer.{name}=0 trains nothing; raise it, or measure weights as they are with "
                "`evaluate.py weights=PATH`"
            )


def _ends(trainer: L.Trainer) -> bool:
    """Return whether the step that was just made is the last of the run."""
    epoch, step = trainer.current_epoch, trainer.global_step  # the epoch counts from 0
    last_epoch = epoch + 1 == trainer.max_epochs
    return (
        (last_epoch and trainer.is_last_batch)
        or 0 < trainer.max_steps <= step
        or _stops_early(trainer)
    )


def _stops_early(trainer: L.Trainer) -> bool:
    """Return whether something has asked for the end that Lightning grants."""
    return (
        trainer.should_stop
        and trainer.current_epoch >= (trainer.min_epochs or 0)
        and trainer.global_step >= (trainer.min_steps or 0)
    )
