"""Stop a run that has stopped improving."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from sapiens_lab.ranges import Count, NonNegative
from sapiens_lab.training.callbacks.best_checkpoint import Mode, is_informative

log = logging.getLogger(__name__)


class EarlyStopping(LightningEarlyStopping):
    """Stop after so many validations in a row without a better metric.

    Validations in which the metric says nothing yet do not count: AP is undefined or 0 for a while.
    A run that was stopped stays stopped when it is continued, unless ``patience`` is raised.

    Args:
        monitor: name of the metric, ``val/...``.
        mode: whether the metric is minimized or maximized.
        patience: validations without a better value.
        min_delta: what counts as better.
    """

    def __init__(
        self, *, monitor: str, mode: Mode, patience: Count, min_delta: NonNegative = 0.0
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            patience=patience,
            min_delta=min_delta,
            strict=False,
            check_on_train_epoch_end=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting; the patience is that of the config."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop at once where the run that is continued was stopped."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
            log.info(
                "early stopping ended this run: %s had not improved in %d validations. "
                "early_stopping=null or a larger number goes on",
                self.monitor,
                self.wait_count,
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count this validation."""
        value = trainer.callback_metrics.get(self.monitor)
        mode: Mode = "max" if self.mode == "max" else "min"
        is_first = not bool(torch.isfinite(self.best_score))
        if is_first and not is_informative(value, mode):
            return
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and self.wait_count >= self.patience:
            log.info(
                "early stopping: %s has not improved on %.4g in %d validations",
                self.monitor,
                float(self.best_score),
                self.wait_count,
            )


def early_stopping(
    *, monitor: str, mode: Mode, patience: Count | None, min_delta: NonNegative = 0.0
) -> EarlyStopping | None:
    """Return the callback, or none where ``patience`` is ``None``."""
    if patience is None:
        return None
    return EarlyStopping(monitor=monitor, mode=mode, patience=patience, min_delta=min_delta)
