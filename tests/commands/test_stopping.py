"""SIGTERM, SIGHUP and Ctrl-C: the exit status, what is left, and that the run continues equally."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import TINY, Commands, Run, losses, metrics, run, status
from tests.commands.test_resume import RANDOM, assert_same_weights
from tests.conftest import ROOT
from tests.interrupt import Signal

LONGER = ("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2")  # validated after 2 and 3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        commands = Commands(monkeypatch, tmp_path_factory.mktemp("undisturbed"))
        commands.train(*RANDOM, *LONGER)
        return commands.runs()[0]


def send(number: int, hook: str, step: int) -> list[str]:
    return [
        f"+callbacks.cut._target_={Signal.__module__}.{Signal.__qualname__}",
        f"+callbacks.cut.number={int(number)}",
        f"+callbacks.cut.hook={hook}",
        f"+callbacks.cut.step={step}",
    ]


@pytest.mark.parametrize(
    ("number", "code", "hook", "step"),
    [
        (signal.SIGTERM, 143, "on_before_optimizer_step", 1),  # in the middle of a step
        (signal.SIGHUP, 129, "on_train_batch_end", 2),  # after the last batch of an epoch
        (signal.SIGINT, 130, "on_validation_batch_end", 6),  # in the middle of a validation
        (signal.SIGTERM, 143, "on_validation_start", 9),  # in the one that ends the run
    ],
)
def test_a_run_stops_where_nothing_is_lost(
    commands: Commands,
    undisturbed: Path,
    number: int,
    code: int,
    hook: str,
    step: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = [*RANDOM, *LONGER, *send(number, hook, step)]
    assert status("train", *TINY, *cut) == code
    said = capsys.readouterr()
    [folder] = commands.runs()
    assert "Traceback" not in said.out + said.err
    assert f"{folder}/checkpoints/last.ckpt is whole, and `resume=auto` continues there" in said.out
    assert not (folder / "export").exists(), "a scheduler would take the run for finished"
    assert not (folder / "metrics.json").exists()
    assert not (folder / "error.txt").exists()
    commands.train(f"resume={folder}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    assert commands.runs() == [folder]
    assert_same_weights(folder, undisturbed)
    assert losses(folder) == pytest.approx(losses(undisturbed), rel=1e-6)
    assert metrics(folder)["last"] == pytest.approx(metrics(undisturbed)["last"], rel=1e-5)
    assert metrics(folder)["best"] == pytest.approx(metrics(undisturbed)["best"], rel=1e-5)
    assert (folder / "export/model.safetensors").is_file()


def test_a_signal_before_training_leaves_no_checkpoint(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", *TINY, *send(signal.SIGTERM, "on_fit_start", 0)) == 143
    assert "stopped; nothing was trained yet" in capsys.readouterr().out
    assert not list(commands.runs()[0].rglob("*.ckpt"))


def test_an_evaluation_stops_at_once(commands: Commands, trained: Run) -> None:
    cut = send(signal.SIGTERM, "on_test_batch_start", 0)
    assert status("evaluate", f"ckpt_path={trained.folder}/checkpoints/best.ckpt", *cut) == 143


def test_a_finished_run_says_so(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    run("train", *TINY, "trainer.max_epochs=1")
    capsys.readouterr()
    run("train", "resume=auto")
    said = capsys.readouterr().out
    assert "this run was finished: 1 epochs, 3 steps. extend=N trains on" in said


def test_a_signal_during_an_import_ends_the_process_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(60)\n")
    code = "from sapiens_lab import signals\nwith signals.handled():\n    import slow"
    path = f"{tmp_path}:{ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (143, "stopped\n", "")
