"""The real command line, in this process, on a world small enough to take seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sapiens_lab.commands.main import sapiens

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
        monkeypatch.chdir(cwd)

    def train(self, *overrides: str, tiny: bool = True) -> None:
        run("train", *(TINY if tiny else ()), *overrides)

    def evaluate(self, *overrides: str) -> None:
        run("evaluate", *overrides)

    def runs(
        self,
        experiment: str = "pose/synthetic",
        *,
        root: Path | None = None,
        pattern: str = "*_*",
    ) -> list[Path]:
        """Return the folders of an experiment below ``outputs``, the oldest first."""
        return sorted((root or self.cwd / "outputs").joinpath(experiment).glob(pattern))


class Run(NamedTuple):
    """A finished run that tests read and never change."""

    folder: Path
    printed: str


def run(*words: str) -> None:
    """Run ``sapiens WORDS`` in this process.

    Raises:
        SystemExit: with the exit status, unless that is 0.
    """
    if code := status(*words):
        raise SystemExit(code)


def status(*words: str) -> int:
    """Return the exit status of ``sapiens WORDS``."""
    with pytest.raises(SystemExit) as stopped:
        sapiens(words, prog_name="sapiens")
    return int(stopped.value.code or 0)  # type: ignore[arg-type]


def metrics(run: Path) -> Any:
    """Return ``metrics.json`` of a run."""
    return json.loads((run / "metrics.json").read_text())


def losses(run: Path) -> dict[int, float]:
    """Return the training loss of every step that a run wrote down."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
    return {int(row["step"]): float(row["train/loss"]) for row in rows}
