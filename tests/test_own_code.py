"""docs/own_code.md: the folder that it shows trains with the command that it shows."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from tests.command import Commands, losses, status
from tests.conftest import ROOT

PAGE = (ROOT / "docs/own_code.md").read_text()


@pytest.fixture
def command(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write the files of the page; return its command."""
    for name, text in re.findall(r"```\w+\n# (\S+\.(?:py|yaml))\n(.*?)```", PAGE, re.DOTALL):
        path = commands.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "hands", raising=False)
    [line] = re.findall(r"`python train\.py (.*?)`", PAGE)
    return shlex.split(line)


def test_the_page_trains(commands: Commands, command: list[str]) -> None:
    small = ["trainer=cpu", "data.train.num_images=40", "data.val.num_images=5"]
    fast = ["data.num_workers=0", "trainer.max_epochs=2", "trainer.log_every_n_steps=1"]
    commands.train(*command, *small, *fast, tiny=False)
    [run] = commands.runs("dots")
    text = (run / "config.yaml").read_text()
    assert all(f"_target_: hands.{name}" in text for name in ("HandDots", "Fog", "PeakMSE"))
    steps = losses(run)
    assert steps[3] < steps[0]
    assert (run / "export/model.safetensors").is_file()
    assert (run / "hardest/epoch_0002.png").is_file()
    sys.modules.pop("hands")


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("task.loss.weight=-1", "task.loss.weight=-1: must be a number above 0"),
        ("task.loss.wait=2", "PeakMSE has no argument `wait`"),
        ("data.train._target_=hands.HandDot", "did you mean `hands.HandDots`"),
        ("data.train_transforms.fog.p=2", "data.train_transforms.fog.p=2: must be"),
    ],
)
def test_malformed_arguments_of_own_classes_are_answered(
    command: list[str], capsys: pytest.CaptureFixture[str], word: str, answer: str
) -> None:
    assert status("train", *command, word) == 1
    said = capsys.readouterr().err
    assert answer in said
    assert "Traceback" not in said
    assert "hands" not in sys.modules, "nothing was imported"
