"""``sapiens evaluate``: the metrics of a checkpoint."""

from __future__ import annotations

import shutil

import pytest

from tests.command import Commands, Run, metrics


def test_the_best_checkpoint_evaluates_to_the_metrics_of_its_epoch(
    commands: Commands, trained: Run
) -> None:
    commands.evaluate(f"output_root={trained.folder.parents[2]}")
    [run] = commands.runs(root=trained.folder.parents[2], pattern="*_evaluate")
    measured, best = metrics(run)["test"], metrics(trained.folder)["best"]
    for name in ("loss", "PCK@0.1", "NME", "AP"):
        assert measured[f"test/{name}"] == pytest.approx(best[f"val/{name}"], abs=1e-6), name


def test_weights_are_evaluated_without_a_run(commands: Commands, trained: Run) -> None:
    """From an export, in a folder of its own."""
    commands.evaluate(
        f"weights={trained.folder}/export", "image_size=[64,48]", "head_width=16",
        "data.val.num_scenes=5", "trainer=cpu", "data.num_workers=0",
    )  # fmt: skip
    [run] = commands.runs(pattern="*_evaluate")
    last = metrics(trained.folder)["last"]
    assert metrics(run)["test"]["test/PCK@0.1"] == pytest.approx(last["val/PCK@0.1"], abs=1e-6)


def test_a_checkpoint_of_another_skeleton_is_refused(
    commands: Commands, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trained.folder / "checkpoints/last.ckpt"
    with pytest.raises(SystemExit):
        commands.evaluate(f"ckpt_path={file}", "skeleton=wholebody133")
    said = capsys.readouterr().err
    assert "17 (nose, left_eye, right_eye, ...)" in said
    assert "this run has 133" in said
    assert "weights=PATH" in said


def test_evaluating_without_a_run_says_how_to_get_one(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.evaluate()
    assert "python train.py experiment=pose/synthetic" in capsys.readouterr().err


def test_what_was_trained_in_several_processes_is_measured_in_one(
    commands: Commands, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = commands.cwd / "copy"
    shutil.copytree(trained.folder, folder)
    overrides = (folder / "overrides.yaml").read_text()
    (folder / "overrides.yaml").write_text(f"{overrides}- trainer=ddp\n- trainer.devices=2\n")
    commands.evaluate(f"ckpt_path={folder}/checkpoints/best.ckpt", "trust_run=true")
    assert "measured in one process; trainer=ddp" in capsys.readouterr().out
    [run] = commands.runs(pattern="*_evaluate")
    assert "devices: 1" in (run / "config.yaml").read_text()
    best = metrics(trained.folder)["best"]
    assert metrics(run)["test"]["test/loss"] == pytest.approx(best["val/loss"], rel=1e-5)
