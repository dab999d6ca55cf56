"""Progress on the screen: a bar while an epoch runs, and one line for each validation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from sapiens_lab.data.sample import Batch


class ProgressBar(RichProgressBar):
    """Lightning's bar, without its version number (our runs are folders) and with epochs from 1."""

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the metrics beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the screen to the table that is printed at the end."""
        self._stop_progress()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the screen to the table that is printed at the end."""
        super().on_test_end(trainer, pl_module)
        self._stop_progress()

    def _get_train_description(self, current_epoch: int) -> str:
        """Count epochs as ``EpochLine`` does; the width is that of the longest description."""
        last = self.trainer.max_epochs
        text = f"Epoch {current_epoch + 1}" + (f"/{last}" if last is not None and last > 0 else "")
        return text.ljust(len(self.validation_description))


class EpochLine(Callback):
    """Print one line per validation: metrics, samples per second and the time that is left.

    A line outlives the progress bar, and it is all that a log file shows.

    Args:
        names: the metrics to print; those that are missing are left out.
    """

    def __init__(self, *, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._began = self._epoch_began = time.perf_counter()
        self._first_epoch = 0
        self._samples = 0
        self._rate = 0.0
        self._has_trained = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the run."""
        self._began, self._first_epoch = time.perf_counter(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._epoch_began, self._samples = time.perf_counter(), 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count samples and show the rate on the progress bar."""
        self._has_trained = True
        self._samples += len(batch) * trainer.world_size
        self._rate = self._samples / (time.perf_counter() - self._epoch_began)
        pl_module.log("samples_per_s", self._rate, prog_bar=True, batch_size=1)

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say so where a finished run was continued."""
        if not self._has_trained:
            _console(trainer).print(
                f"this run was finished: {trainer.current_epoch} epochs, {trainer.global_step} "
                "steps. extend=N trains on for N epochs",
                soft_wrap=True,
                highlight=False,
            )

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        values = [
            f"{name} [bold]{float(metrics[name]):.4g}[/]" for name in self.names if name in metrics
        ]
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        per_epoch = (time.perf_counter() - self._began) / max(1, done - self._first_epoch)
        left = per_epoch * max(0, total - done)
        head = f"epoch {done:>{len(str(total))}}/{total}"
        tail = f"{self._rate:.0f} samples/s  {_clock(left)} left"
        line = "  ".join([head, *values, tail])
        _console(trainer).print(line, soft_wrap=True, highlight=False)


def _console(trainer: L.Trainer) -> Console:
    """Return the console of the progress bar, which prints above the bar, or a new one."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, RichProgressBar) and bar.progress is not None:
        console: Console = bar.progress.console
        return console
    return Console()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
