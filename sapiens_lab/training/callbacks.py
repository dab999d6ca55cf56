"""What a run shows and leaves behind: images, a line an epoch, a table, its numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from sapiens_lab.data.sample import Batch
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.masking import RandomMasking
from sapiens_lab.training.learner import Learner
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, write_image
from sapiens_lab.visualize.view import View


class ProgressBar(RichProgressBar):
    """Lightning's bar without the number that it gives a run: our runs are folders."""

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands behind the bar."""
        numbers = super().get_metrics(trainer, pl_module)
        numbers.pop("v_num", None)
        return numbers


class FirstBatch(Callback):
    """Write the first training batch with its targets drawn in: the cheapest check there is.

    Args:
        view: draws the targets.
        path: of the image.
        num_samples: at most so many.
    """

    def __init__(self, view: View, *, path: str, num_samples: int = 16) -> None:
        self.view, self.path, self.num_samples = view, Path(path), num_samples
        self._done = False

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Write the image once."""
        if self._done or not trainer.is_global_zero:
            return
        self._done = True
        images = [
            image
            for i in range(min(self.num_samples, len(batch)))
            for image in (self.view.plain(batch, i), self.view.target(batch, i))
            if image is not None
        ]
        write_image(self.path, grid([images[i : i + 8] for i in range(0, len(images), 8)]))


class SampleGrid(Callback):
    """After every validation, write input, ground truth and prediction of the same few samples.

    The image also goes to TensorBoard and Weights & Biases where these are on.

    Args:
        view: draws ground truth and prediction.
        folder: receives ``epoch_0007.png``; the test set's is ``test.png``.
        num_samples: rows of the grid.
    """

    def __init__(self, view: View, *, folder: str, num_samples: int = 8) -> None:
        self.view, self.folder, self.num_samples = view, Path(folder), num_samples
        self._rows: list[list[RGBImage]] = []

    def _collect(self, trainer: L.Trainer, outputs: Sequence[Any], batch: Batch) -> None:
        if not trainer.is_global_zero:
            return
        for i in range(min(len(batch), self.num_samples - len(self._rows))):
            columns = (
                self.view.plain(batch, i),
                self.view.target(batch, i),
                self.view.prediction(batch, i, outputs[i]),
            )
            self._rows.append([image for image in columns if image is not None])

    def _write(self, trainer: L.Trainer, name: str) -> None:
        rows, self._rows = self._rows, []
        if rows:
            half = (len(rows) + 1) // 2  # two samples side by side: screens are wide
            pairs = [
                rows[i] + (rows[i + half] if i + half < len(rows) else []) for i in range(half)
            ]
            titles = self.view.titles * (1 if len(rows) == half else 2)
            image = grid(pairs, titles=titles)
            write_image(self.folder / f"{name}.png", image)
            _send(trainer, image)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what is to be drawn."""
        self._collect(trainer, outputs["predictions"], batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the image."""
        self._write(trainer, f"epoch_{trainer.current_epoch + 1:04d}")

    on_test_batch_end = on_validation_batch_end

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the image."""
        self._write(trainer, "test")


class EpochLine(Callback):
    """Print one line an epoch: what it cost, what it brought, and how long it still takes.

    A line outlives the progress bar, and it is all that a log file shows.

    Args:
        names: the validation numbers to print; those that are missing are left out.
    """

    def __init__(self, *, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._console = Console(highlight=False)
        self._began = self._epoch_began = time.perf_counter()
        self._first_epoch = 0
        self._samples = 0
        self._rate = 0.0

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
        self._samples += len(batch) * trainer.world_size
        self._rate = self._samples / (time.perf_counter() - self._epoch_began)
        pl_module.log("samples_per_s", self._rate, prog_bar=True, batch_size=1)

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        numbers = trainer.callback_metrics
        shown = [
            f"{name} [bold]{float(numbers[name]):.4g}[/]" for name in self.names if name in numbers
        ]
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        per_epoch = (time.perf_counter() - self._began) / max(1, done - self._first_epoch)
        left = per_epoch * max(0, total - done)
        head = f"epoch {done:>{len(str(total))}}/{total}"
        tail = f"{self._rate:.0f} samples/s  {_clock(left)} left"
        self._console.print("  ".join([head, *shown, tail]), soft_wrap=True)


class MaskingSchedule(Callback):
    """Change the fraction of masked patches linearly over a run of masked pretraining.

    Validation always masks the fraction of the config, so that its losses can be compared.

    Args:
        start: fraction at the first step.
        end: fraction at the last step.

    Raises:
        ValueError: a fraction does not lie between 0 and 1.
    """

    def __init__(self, *, start: float, end: float) -> None:
        self.start, self.end = (RandomMasking(ratio).low for ratio in (start, end))
        self._configured: tuple[float, float] | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look for what is to be changed.

        Raises:
            ValueError: the model is no masked autoencoder.
        """
        masking = self._masking(pl_module)
        self._configured = (masking.low, masking.high)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the fraction of this step."""
        done = trainer.global_step / max(1, int(trainer.estimated_stepping_batches) - 1)
        ratio = self.start + (self.end - self.start) * min(done, 1.0)
        self._masking(pl_module).fix(ratio)
        pl_module.log("masking_ratio", ratio, batch_size=1)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go back to the fraction of the config."""
        masking = self._masking(pl_module)
        if self._configured is not None:
            masking.low, masking.high = self._configured

    def _masking(self, module: L.LightningModule) -> RandomMasking:
        model = module.model
        if not isinstance(model, MaskedAutoencoder):
            raise ValueError("callbacks=masking_schedule: only pretraining hides patches")
        return model.masking


class Report(Callback):
    """At the end, print the numbers as a table and write them to ``metrics.json``.

    Args:
        path: of the JSON file.
    """

    def __init__(self, *, path: str) -> None:
        self.path = Path(path)
        self._history: list[dict[str, float]] = []
        self._console = Console(highlight=False)

    def state_dict(self) -> dict[str, Any]:
        """Keep the numbers of earlier epochs for a continued run."""
        return {"history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self._history = state_dict["history"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the numbers of this epoch."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            row = _numbers(trainer, "val/") | {"epoch": trainer.current_epoch + 1}
            self._history.append(row)

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the last and the best epoch."""
        assert isinstance(pl_module, Learner)
        if not self._history:
            return
        best = _best_checkpoint(trainer)
        columns = {"last": self._history[-1]}
        if best is not None and (scored := [r for r in self._history if best.monitor in r]):
            pick = max if best.mode == "max" else min
            columns["best"] = pick(scored, key=lambda row: row[str(best.monitor)])
        self._print(columns, pl_module.undefined)
        self._dump({**columns, "undefined": pl_module.undefined})
        if best is not None and best.best_model_path:
            self._console.print(
                f"best checkpoint: {_relative(best.best_model_path)}", soft_wrap=True
            )
        self._console.print(f"everything else: {_relative(self.path.parent)}", soft_wrap=True)

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the numbers of the test."""
        assert isinstance(pl_module, Learner)
        numbers = _numbers(trainer, "test/")
        self._print({"test": numbers}, pl_module.undefined)
        self._dump({"test": numbers, "undefined": pl_module.undefined})
        self._console.print(f"written to {_relative(self.path)}", soft_wrap=True)

    def _print(self, columns: dict[str, dict[str, float]], undefined: dict[str, str]) -> None:
        table = Table(title_justify="left")
        table.add_column("metric")
        for name, row in columns.items():
            epoch = f" (epoch {row['epoch']:.0f})" if "epoch" in row else ""
            table.add_column(name + epoch, justify="right")
        names = dict.fromkeys(name for row in columns.values() for name in row if name != "epoch")
        for name in names:
            cells = [f"{row[name]:.4g}" if name in row else "" for row in columns.values()]
            table.add_row(name, *cells)
        self._console.print(table)
        for name, reason in undefined.items():
            self._console.print(f"[dim]{name} is undefined: {reason}[/]", soft_wrap=True)

    def _dump(self, content: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(content, indent=2) + "\n")


def _send(trainer: L.Trainer, image: RGBImage) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(
                "predictions", image, trainer.global_step, dataformats="HWC"
            )
        elif isinstance(logger, WandbLogger):
            logger.log_image("predictions", [image], step=trainer.global_step)


def _numbers(trainer: L.Trainer, prefix: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(prefix) and bool(torch.isfinite(torch.as_tensor(value)))
    }


def _best_checkpoint(trainer: L.Trainer) -> ModelCheckpoint | None:
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    return next((c for c in callbacks if c.monitor is not None), None)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _relative(path: str | Path) -> str:
    """Shorten a path below the working directory: people paste it into the next command."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
