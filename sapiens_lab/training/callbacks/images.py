"""Images that a run writes: the first training batch, and samples of every validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Count
from sapiens_lab.training.loggers import send_image
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, write_image
from sapiens_lab.visualize.view import View


class FirstBatch(Callback):
    """Write the first training batch with its targets drawn in: the cheapest check there is.

    Args:
        view: draws the targets.
        path: of the image.
        num_samples: at most this many.
    """

    def __init__(self, view: View, *, path: str, num_samples: Count = 16) -> None:
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

    The image also goes to the loggers.

    Args:
        view: draws ground truth and prediction.
        folder: receives ``epoch_0007.png``; the test set's is ``test.png``.
        num_samples: rows of the grid.
    """

    def __init__(self, view: View, *, folder: str, num_samples: Count = 8) -> None:
        self.view, self.folder, self.num_samples = view, Path(folder), num_samples
        self._rows: list[list[RGBImage]] = []

    def _collect(self, trainer: L.Trainer, outputs: Sequence[Any], batch: Batch) -> None:
        if not trainer.is_global_zero:
            return
        for i in range(min(len(batch), self.num_samples - len(self._rows))):
            self._rows.append(columns(self.view, batch, i, outputs[i]))

    def _write(self, trainer: L.Trainer, name: str) -> None:
        rows, self._rows = self._rows, []
        if rows:
            image = sheet(rows, self.view.titles)
            write_image(self.folder / f"{name}.png", image)
            send_image(trainer, "predictions", image)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first samples."""
        self._collect(trainer, outputs["predictions"], batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the image."""
        self._write(trainer, f"epoch_{trainer.current_epoch + 1:04d}")

    on_test_batch_end = on_validation_batch_end

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the image."""
        self._write(trainer, "test")


def columns(view: View, batch: Batch, index: int, prediction: Any) -> list[RGBImage]:
    """Return a sample's image, then its ground truth and prediction where a view draws them."""
    drawn = (view.target(batch, index), view.prediction(batch, index, prediction))
    return [view.plain(batch, index), *(image for image in drawn if image is not None)]


def sheet(rows: Sequence[Sequence[RGBImage]], titles: Sequence[str]) -> RGBImage:
    """Lay samples out, two side by side: screens are wide.

    Args:
        rows: the images of each sample.
        titles: over the images of a sample.
    """
    half = (len(rows) + 1) // 2
    pairs = [[*rows[i], *(rows[i + half] if i + half < len(rows) else [])] for i in range(half)]
    return grid(pairs, titles=tuple(titles) * (1 if len(rows) == half else 2))
