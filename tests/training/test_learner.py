"""The loop around a task: what it says of an evaluation in which samples cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.sample import Sample
from tests.command import TINY, Commands, metrics

ROOT = Path(__file__).parents[2]
DAMAGED = "data.val._target_=tests.training.test_learner.DamagedPeople"
SKIP = (
    DAMAGED,
    "+data.on_error=skip",
    "+data.eval_batch_size=1",
    "data.train.num_scenes=8",
    "trainer.max_epochs=1",
)


class DamagedPeople(SyntheticPeople):
    """People of whom every second, from number 1 on, cannot be read."""

    def __getitem__(self, index: int) -> Sample:
        if index % 2:
            raise ValueError(f"person {index} is damaged")
        return super().__getitem__(index)


def test_an_evaluation_of_damaged_samples_only_is_an_error(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train(*SKIP, "data.val._target_=tests.training.test_learner.NobodyAtAll")
    assert "none of the 5 samples of the val set could be read" in capsys.readouterr().err


class NobodyAtAll(SyntheticPeople):
    """People of whom none can be read."""

    def __getitem__(self, index: int) -> Sample:
        raise ValueError(f"person {index} is damaged")


def test_what_cannot_be_read_is_left_out_counted_and_named(commands: Commands) -> None:
    """Alone, and with a process that has nothing else: the people 1 and 3 of 0 to 4."""
    commands.train(*SKIP)
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2")
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *TINY, *SKIP, *ddp],
        cwd=commands.cwd, timeout=300, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    runs = commands.runs()
    for run in runs:
        said = (run / "messages.log").read_text()
        assert said.count("val: 2 of 5 samples were left out; the warnings above name them") == 1
    assert said.count("person 1 is damaged") == 1
    alone, together = (metrics(run)["last"] for run in runs)
    assert together == pytest.approx(alone, rel=2e-4)
