from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.training.callbacks.report import best_row
from tests.training.scripted import fitted, saved_epoch

NAN = math.nan


def rows(key: str, *values: float, **others: list[float]) -> list[dict[str, float]]:
    return [
        {key: value, **{name: column[i] for name, column in others.items()}}
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "mode", "expected"),
    [
        ([0.1, 0.3, 0.2], "max", 2),
        ([0.3, 0.1, 0.2], "min", 2),
        ([0.3, 0.1, 0.3], "max", 3),  # of equal ones the later
        ([0.5, 0.5, 0.5], "min", 3),
        ([0, 0, 0.1, 0], "max", 3),
        ([0, 0.2, 0.1], "min", 1),  # an error of 0 is perfect
        ([NAN, 0.2, 0.1, NAN], "max", 2),
    ],
)
def test_the_best_validation_is_kept(
    tmp_path: Path, values: list[float], mode: Any, expected: int
) -> None:
    loss = [1.0 / (i + 1) for i in range(len(values))]
    best, _ = fitted(tmp_path, rows("AP", *values, loss=loss), mode=mode)
    assert saved_epoch(tmp_path / "best.ckpt") == expected
    assert best.score == pytest.approx(values[expected - 1])
    assert best.fell_back_from is None
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["best"]["epoch"] == expected


@pytest.mark.parametrize("value", [0, NAN])
def test_a_metric_that_says_nothing_leaves_the_choice_to_the_loss(
    tmp_path: Path, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    best, _ = fitted(tmp_path, rows("AP", value, value, value, value, loss=[3, 1, 1, 2]))
    assert saved_epoch(tmp_path / "best.ckpt") == 3
    assert best.score == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["best"]["epoch"] == 3
    said = capsys.readouterr().out
    assert "chosen by val/loss: val/AP was 0 or undefined in every validation" in said


def test_a_continued_run_goes_on_with_the_metric_that_chose(tmp_path: Path) -> None:
    script = rows("AP", 0, 0, 0, loss=[2.0, 1.0, 3.0])
    fitted(tmp_path, script[:2])
    last = str(tmp_path / "last.ckpt")
    best, _ = fitted(tmp_path, script[2:], max_epochs=3, ckpt_path=last)
    assert best.fell_back_from == "val/AP"
    assert saved_epoch(tmp_path / "best.ckpt") == 2
    best, _ = fitted(tmp_path, rows("AP", 0.1, loss=[9]), max_epochs=4, ckpt_path=last)
    assert best.fell_back_from is None
    assert saved_epoch(tmp_path / "best.ckpt") == 4
    best, _ = fitted(tmp_path, rows("AP", 0.05, loss=[9]), max_epochs=5, ckpt_path=last)
    assert saved_epoch(tmp_path / "best.ckpt") == 4


def test_a_misspelled_monitor_is_answered_with_the_metrics_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"monitor=val/AQ.*val/AP, val/loss"):
        fitted(tmp_path, rows("AP", 0.1), monitor="val/AQ")


def test_best_row_is_the_later_of_equal_ones() -> None:
    history = [{"a": 1.0, "epoch": 1}, {"a": 1.0, "epoch": 2}, {"epoch": 3}]
    for mode in ("min", "max"):
        assert best_row(history, "a", mode) == history[1]
    assert best_row(history, "b", "max") is None
