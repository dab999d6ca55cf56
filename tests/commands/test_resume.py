"""``resume=``: a run that broke off ends as an undisturbed one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.command import TINY, Commands, Run, losses, metrics, status
from tests.conftest import ROOT

RANDOM = ("data.num_workers=1", "backbone.drop_path=0.2")  # workers and dropout draw numbers too


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random numbers everywhere."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands = Commands(monkeypatch, tmp_path_factory.mktemp("undisturbed"))
        commands.train(*RANDOM)
        return commands.runs()[0]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, dict[str, torch.Tensor]] = torch.load(
        run / "checkpoints/last.ckpt", weights_only=True
    )
    return state["state_dict"]


def assert_same_weights(ours: Path, expected: Path) -> None:
    a, b = weights(expected), weights(ours)
    for name in a:
        torch.testing.assert_close(b[name], a[name], msg=name)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_interrupted_run_continues_with_the_same_losses(
    commands: Commands, undisturbed: Path, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.train(
            *RANDOM,
            "experiment_name=cut",
            "+callbacks.cut._target_=tests.interrupt.Interrupt",
            f"+callbacks.cut.step={step}",
        )
    assert stopped.value.code == 130
    assert "`resume=auto` continues there" in capsys.readouterr().out
    cut = commands.runs("cut")[0]
    assert (cut / "checkpoints/last.ckpt").is_file()
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    assert commands.runs("cut") == [cut], "a continued run stays in its folder"
    expected, continued = losses(undisturbed), losses(cut)
    assert sorted(continued) == sorted(expected)
    assert continued == pytest.approx(expected, rel=1e-6)
    assert_same_weights(cut, undisturbed)
    assert metrics(cut)["last"] == pytest.approx(metrics(undisturbed)["last"], rel=1e-5)


def test_resume_auto_takes_the_latest_run_and_starts_one_where_there_is_none(
    commands: Commands,
) -> None:
    commands.train("resume=auto", "trainer.max_epochs=1")
    [run] = commands.runs()
    left = run / "predictions" / ".epoch_0002.png.1234.part"  # of a run that was killed
    left.touch()
    commands.train("resume=auto", "trainer.max_epochs=2", tiny=False)
    assert commands.runs() == [run]
    assert not left.exists()
    assert sorted(losses(run)) == [0, 1, 2, 3, 4, 5]


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(
    commands: Commands, trained: Run
) -> None:
    overrides = ["experiment_name=cut", "+callbacks.cut._target_=tests.interrupt.Kill"]
    script = [sys.executable, str(ROOT / "train.py"), *TINY, *overrides, "+callbacks.cut.step=4"]
    result = subprocess.run(
        script, cwd=commands.cwd, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL
    [cut] = commands.runs("cut")
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    assert_same_weights(cut, trained.folder)


def test_a_full_disk_leaves_the_last_whole_checkpoint(
    commands: Commands, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    overrides = [
        "monitor=val/PCK@0.1",
        "+callbacks.cut._target_=tests.interrupt.SmallFiles",
        "+callbacks.cut.largest=2000000",
        "+callbacks.cut.step=4",
    ]
    try:
        assert status("train", *TINY, *overrides) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert said.count("Error: ") == 1
    assert "are needed and a file may have 2.0 MB here (`ulimit -f`), so" in said
    assert "Traceback" not in said
    [cut] = commands.runs()
    assert not (cut / "export").exists()
    assert not list(cut.rglob(".*.part"))
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    assert_same_weights(cut, trained.folder)


def test_weights_are_not_resumed(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(3)}, "mine.pth")
    assert status("train", *TINY, "resume=mine.pth") == 1
    said = capsys.readouterr().err
    path = commands.cwd / "mine.pth"
    assert (
        f"mine.pth holds weights and no state of a run: start from it with weights={path}" in said
    )
    assert not commands.runs()


def test_ckpt_path_is_not_for_training(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", *TINY, "ckpt_path=/nowhere.ckpt") == 1
    assert "ckpt_path=/nowhere.ckpt is for `evaluate`" in capsys.readouterr().err
    assert not list(commands.runs()[0].iterdir())
