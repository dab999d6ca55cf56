"""The real command line, in this process, on a world small enough to take seconds."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.commands import train as cli

# The default experiment, cut down: 12 rendered people of 64x48 to learn from, 5 held out.
TINY = (
    "trainer=cpu",
    "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=1",
    "image_size=[64,48]",
    "head_width=16",
    "data.train.num_scenes=12",
    "data.val.num_scenes=5",
    "data.batch_size=4",
    "data.num_workers=0",
)


class Commands:
    """``train`` and ``evaluate`` as a user in the folder ``cwd`` would type them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cwd: Path) -> None:
        self.cwd = cwd
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(cwd)

    def train(self, *words: str, tiny: bool = True) -> None:
        self._run(cli.train, "train.py", *(TINY if tiny else ()), *words)

    def evaluate(self, *words: str) -> None:
        self._run(cli.evaluate, "evaluate.py", *words)

    def runs(self, experiment: str = "pose/synthetic") -> list[Path]:
        """Return the folders of an experiment, the oldest first."""
        return sorted(path for path in (self.cwd / "outputs" / experiment).glob("*_*"))

    def _run(self, command: Any, name: str, *words: str) -> None:
        self._monkeypatch.setattr(sys, "argv", [name, *words])
        command()


def numbers(run: Path) -> Any:
    """Return ``metrics.json`` of a run."""
    return json.loads((run / "metrics.json").read_text())


def losses(run: Path) -> dict[int, float]:
    """Return the training loss of every step that a run wrote down."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
    return {int(row["step"]): float(row["train/loss"]) for row in rows}
