"""``extend=N``: a finished run goes on, and only a finished one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from tests.command import TINY, Commands, losses, status


def rates(run: Path) -> dict[int, float]:
    """Return the learning rate of every step."""
    name = "lr-AdamW/layer_00_decay"
    with (run / "metrics.csv").open(newline="") as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row[name]}


def test_a_finished_run_goes_on_as_if_it_had_been_planned_so(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("trainer.max_epochs=1", "early_stopping=3")
    [run] = commands.runs()
    with pytest.raises(SystemExit):
        commands.train(
            "extend=1",
            "+callbacks.cut._target_=tests.interrupt.Interrupt",
            "+callbacks.cut.step=4",
            tiny=False,
        )
    said = capsys.readouterr().out
    assert (
        "extended by 1 epochs to 2: the schedule is planned again over 6 steps, of which 3" in said
    )
    assert commands.runs() == [run], "it stays in its folder"
    assert status("train", "extend=1") == 1
    assert "is not finished: it stopped in epoch 2. Continue it with" in capsys.readouterr().err
    last = run / "checkpoints/last.ckpt"
    commands.train(f"resume={last}", "~callbacks.cut", tiny=False)  # the plan was written down
    assert sorted(losses(run)) == [0, 1, 2, 3, 4, 5]
    commands.train("experiment_name=planned", "trainer.max_epochs=2")
    planned = rates(commands.runs("planned")[0])
    assert {s: rates(run)[s] for s in (3, 4, 5)} == pytest.approx(
        {s: planned[s] for s in (3, 4, 5)}
    )
    words = yaml.safe_load((run / "overrides.yaml").read_text())
    assert "trainer.max_epochs=2" in words
    assert "early_stopping=null" in words
    assert not any(word.startswith(("extend=", "resume=")) for word in words)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["extend=2"], "there is no run of this experiment to extend"),
        (["extend=2", "trainer.max_epochs=5"], "trainer.max_epochs=5 says something else"),
        (["extend=2", "weights=a.pth"], "weights=a.pth says something else"),
    ],
)
def test_what_cannot_be_extended_is_answered(
    commands: Commands, capsys: pytest.CaptureFixture[str], words: list[str], answer: str
) -> None:
    assert status("train", *TINY[2:], *words) == 1
    assert answer in capsys.readouterr().err
