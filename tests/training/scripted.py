"""A learner whose validations give metrics that are written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sapiens_lab.commands.build import silence
from sapiens_lab.tasks.task import Task
from sapiens_lab.training.callbacks.best_checkpoint import BestCheckpoint
from sapiens_lab.training.callbacks.final_validation import FinalValidation
from sapiens_lab.training.callbacks.report import Report
from sapiens_lab.training.learner import Learner

Script = Sequence[dict[str, float]]
STEPS_PER_EPOCH = 2


class ScriptedBatch:
    """What the learner asks of a batch."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.image = torch.ones(len(rows), 1)
        self.meta: list[Any] = []
        self.dropped: list[int] = []

    def __len__(self) -> int:
        return len(self.image)


class ScriptedTask(Task):
    """Give the next row of a script at each validation; a metric of value NaN is undefined."""

    name = "scripted"

    def __init__(self, script: Script) -> None:
        super().__init__(loss=nn.Identity(), metrics={})
        self.script = list(script)

    def compute_loss(self, output: Tensor, batch: Any) -> dict[str, Tensor]:
        """Return something to minimize."""
        return {"output": output.mean()}

    def predict(self, output: Tensor, batch: Any) -> list[Tensor]:
        """Return the output."""
        return list(output)

    def update_metrics(self, predictions: Sequence[Any], batch: Any) -> None:
        """Take nothing from a batch."""

    def compute_metrics(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the next row of the script."""
        row = self.script.pop(0)
        undefined = {name: "no person" for name, value in row.items() if value != value}
        return {n: v for n, v in row.items() if n not in undefined}, undefined


class ScriptedData(L.LightningDataModule):
    """Two batches for each loop."""

    limit = None

    def dataset(self, split: str) -> list[int]:
        """Return as many samples as there are steps."""
        return list(range(STEPS_PER_EPOCH))

    def transforms(self, name: str) -> list[Any]:
        """Return no transform."""
        return []

    def train_dataloader(self) -> DataLoader[int]:
        """Load the samples."""
        return DataLoader(self.dataset("train"), collate_fn=ScriptedBatch)  # type: ignore[arg-type]

    val_dataloader = test_dataloader = train_dataloader


def fitted(
    folder: Path,
    script: Script,
    *,
    monitor: str = "val/AP",
    mode: Any = "max",
    callbacks: Sequence[Callback] = (),
    ckpt_path: str | None = None,
    full_report: bool = False,
    save_top_k: int = 1,
    **trainer: Any,
) -> tuple[BestCheckpoint, L.Trainer]:
    """Fit with the callbacks of every run; one validation per epoch unless told otherwise."""
    best = BestCheckpoint(dirpath=str(folder), monitor=monitor, mode=mode, save_top_k=save_top_k)
    last = ModelCheckpoint(
        dirpath=folder, filename="last", save_on_exception=True, enable_version_counter=False
    )
    report = Report(
        path=str(folder / "metrics.json"), names=["val/loss", "val/AP"], full=full_report
    )
    learner = Learner(
        model=nn.Linear(1, 1),
        task=ScriptedTask(script),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    )
    options = {"max_epochs": len(script), **trainer}
    fit = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[best, last, FinalValidation(), report, *callbacks],
        **options,
    )
    silence()
    fit.fit(learner, datamodule=ScriptedData(), ckpt_path=ckpt_path, weights_only=True)
    return best, fit


def saved_epoch(path: Path) -> int:
    """Return the epoch, from 1 on, whose end a checkpoint holds."""
    content: dict[str, int] = torch.load(path, weights_only=True)
    return -(-content["global_step"] // STEPS_PER_EPOCH)
