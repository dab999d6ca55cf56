"""The samples of a validation that the model does worst: an image of them, and a table of all."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from sapiens_lab.atomic import write_text
from sapiens_lab.data.sample import Batch, Meta
from sapiens_lab.ranges import Count
from sapiens_lab.tasks.task import Task
from sapiens_lab.training.callbacks.images import columns, sheet
from sapiens_lab.training.learner import Learner
from sapiens_lab.training.loggers import send_image
from sapiens_lab.training.processes import gather
from sapiens_lab.visualize.image import RGBImage, add_caption, write_image
from sapiens_lab.visualize.view import View

_DIGITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the table."""

    id: int
    image_id: int
    path: str
    metrics: dict[str, float]
    difficulty: float  # larger is harder


class HardestSamples(Callback):
    """After every validation, write the metrics of each sample, and draw the hardest.

    A task says by its ``sample_metrics`` what is measured; the first of them ranks. Samples without
    one (no keypoint labeled) stand at the end of the table. The image also goes to the loggers.

    Args:
        view: draws ground truth and prediction; ``None`` writes the table only.
        folder: receives ``epoch_0007.png`` and ``epoch_0007.csv``; ``test.*`` of the test set.
        num_samples: rows of the image.
    """

    def __init__(self, view: View | None, *, folder: str, num_samples: Count = 8) -> None:
        self.view, self.folder, self.num_samples = view, Path(folder), num_samples
        self._rows: list[_Row] = []
        self._drawn: list[tuple[float, list[RGBImage]]] = []  # of this process, the hardest first

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure each sample, and draw those that are among the hardest so far."""
        assert isinstance(pl_module, Learner)
        if trainer.sanity_checking or not len(batch):
            return
        task, predictions = pl_module.task, outputs["predictions"]
        measured = task.sample_metrics(predictions, batch)
        rows = [_row(m, values, task) for m, values in zip(batch.meta, measured, strict=True)]
        self._rows += rows
        for i, row in enumerate(rows):
            if self.view is not None and self._is_among_hardest(row):
                self._draw(row, self._images(self.view, batch, i, predictions[i], row))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table and the image."""
        self._write(trainer, f"epoch_{trainer.current_epoch + 1:04d}")

    on_test_batch_end = on_validation_batch_end

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table and the image."""
        self._write(trainer, "test")

    def _is_among_hardest(self, row: _Row) -> bool:
        if row.difficulty == -math.inf:
            return False
        return len(self._drawn) < self.num_samples or row.difficulty > self._drawn[-1][0]

    def _images(
        self, view: View, batch: Batch, index: int, prediction: Any, row: _Row
    ) -> list[RGBImage]:
        name, value = next(iter(row.metrics.items()))
        caption = f"id {row.id}\n{name} {value:.3g}"
        plain, *drawn = columns(view, batch, index, prediction)
        return [add_caption(plain, caption), *drawn]

    def _draw(self, row: _Row, images: list[RGBImage]) -> None:
        self._drawn.append((row.difficulty, images))
        self._drawn.sort(key=lambda item: -item[0])
        del self._drawn[self.num_samples :]

    def _write(self, trainer: L.Trainer, name: str) -> None:
        rows = [row for rows in gather(self._rows) for row in rows]
        drawn = [item for items in gather(self._drawn) for item in items]
        self._rows, self._drawn = [], []
        if not trainer.is_global_zero or not any(row.metrics for row in rows):
            return
        rows.sort(key=lambda row: -row.difficulty)
        write_text(self.folder / f"{name}.csv", _table(rows))
        if drawn and self.view is not None:
            drawn.sort(key=lambda item: -item[0])
            images = [images for _, images in drawn[: self.num_samples]]
            image = sheet(images, self.view.titles)
            write_image(self.folder / f"{name}.png", image)
            send_image(trainer, "hardest", image)


def _row(meta: Meta, metrics: dict[str, float], task: Task) -> _Row:
    difficulty = -math.inf
    if metrics:
        value = next(iter(metrics.values()))
        signed = value if task.hardest == "max" else -value
        difficulty = signed if math.isfinite(value) else math.inf
    return _Row(
        id=meta.id, image_id=meta.image_id, path=meta.path, metrics=metrics, difficulty=difficulty
    )


def _table(rows: Sequence[_Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["id", "image_id", *names, "path"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {name: f"{value:.{_DIGITS}g}" for name, value in row.metrics.items()}
        writer.writerow({"id": row.id, "image_id": row.image_id, "path": row.path, **values})
    return text.getvalue()
