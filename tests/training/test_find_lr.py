"""The learning-rate range test: its suggestion, and a run that only looks."""

from __future__ import annotations

import csv
import math
import re

import numpy as np
import pytest

from sapiens_lab.data.images import read_image
from sapiens_lab.training.callbacks.find_lr import suggest
from sapiens_lab.visualize.curve import curve
from tests.command import Commands

RATES = [10 ** (-6 + 6 * i / 99) for i in range(100)]


def falling(center: float, *, rise: float = 0.0) -> list[float]:
    """A loss that falls as a sigmoid around a rate, and rises after 0.1."""
    return [
        1 / (1 + (lr / center) ** 1.5) + rise * max(0.0, math.log10(lr) + 1) ** 2 for lr in RATES
    ]


@pytest.mark.parametrize("center", [1e-4, 1e-3, 1e-2])
def test_the_rate_of_the_steepest_fall_is_suggested(center: float) -> None:
    assert suggest(RATES, falling(center, rise=5.0)) == pytest.approx(center, rel=0.2)


def test_the_first_steps_and_a_loss_that_only_rises_suggest_nothing() -> None:
    assert suggest(RATES, [9.0, 5.0, 1.0, *[1.0 + i for i in range(97)]]) is None
    assert suggest(RATES[:5], [5.0, 4.0, 3.0, 2.0, 1.0]) is None
    assert suggest([], []) is None


def test_the_curve_is_drawn_from_left_to_right_with_its_mark() -> None:
    image = curve(RATES, falling(1e-3), marked=1e-3)
    blue = np.argwhere((image == (31, 119, 180)).all(-1))
    assert (blue[:, 1].min(), blue[:, 1].max()) == pytest.approx((70, 550), abs=3)
    red = np.argwhere((image[60:300] == (214, 39, 40)).all(-1))
    assert red[:, 1].min() == 70 + 240, "1e-3 is the middle of 1e-6 and 1"


def test_a_run_only_looks(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.train("find_lr=true", "scheduler.warmup=500", "trainer.max_epochs=2")
    [run] = commands.runs()
    said = capsys.readouterr().out
    assert re.search(r"suggested: optimizer\.lr=\d\.\de-\d\d|no learning rate is suggested", said)
    with (run / "find_lr.csv").open(newline="") as file:
        rows = [(float(row["lr"]), float(row["loss"])) for row in csv.DictReader(file)]
    assert 20 < len(rows) <= 100
    assert rows[0][0] == pytest.approx(1e-6)
    assert read_image(run / "find_lr.png").shape[2] == 3
    assert not (run / "checkpoints").exists()
    assert not (run / "export").exists()
    assert not list(commands.cwd.glob("*.ckpt")) + list(commands.cwd.glob(".*"))
