"""The two commands, as users type them."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.command import TINY, Commands, losses, numbers
from tests.conftest import ROOT


def test_a_run_leaves_everything_behind_and_evaluates_to_the_same_number(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("monitor=val/PCK@0.1")
    [run] = commands.runs()
    for name in (
        "config.yaml",
        "overrides.yaml",
        "environment.txt",
        "metrics.csv",
        "metrics.json",
        "first_batch.png",
        "predictions/epoch_0001.png",
        "predictions/epoch_0002.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ):
        assert (run / name).stat().st_size > 0, name
    assert list((run / "tensorboard").glob("events.*"))
    assert sorted(losses(run)) == [0, 1, 2, 3, 4, 5]
    shown = capsys.readouterr().out
    assert "epoch 2/2" in shown
    assert "samples/s" in shown
    assert "best checkpoint: outputs/pose/synthetic/" in shown

    commands.evaluate()
    measured = numbers(commands.runs()[-1])["test"]
    best = numbers(run)["best"]
    for name in ("loss", "PCK@0.1", "NME", "AP"):
        assert measured[f"test/{name}"] == pytest.approx(best[f"val/{name}"], abs=1e-6), name


def test_where_the_metric_says_nothing_the_loss_chooses_checkpoint_and_export(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("optimizer.lr=1e-6")  # AP is 0 in both validations
    [run] = commands.runs()
    rows = numbers(run)
    assert rows["last"]["val/AP"] == 0
    assert rows["best"]["val/loss"] <= rows["last"]["val/loss"]
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == rows["best"]["epoch"]
    exported = load_file(run / "export/model.safetensors")
    for name, tensor in exported.items():
        assert torch.equal(best["state_dict"][f"model.{name}"], tensor), name
    said = capsys.readouterr().out
    assert "chosen by val/loss: val/AP was 0 or undefined in every validation" in said


def test_checkpoints_hold_tensors_and_plain_values_only(commands: Commands) -> None:
    commands.train("trainer.max_epochs=1")
    [run] = commands.runs()
    for name in ("best", "last"):
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_interrupted_run_goes_on_with_the_same_losses(
    commands: Commands, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data.num_workers=1", "backbone.drop_path=0.2")  # workers and dropout draw numbers too
    commands.train(*words)
    with pytest.raises(SystemExit):
        commands.train(
            *words,
            "experiment_name=cut",
            "+callbacks.cut._target_=tests.interrupt.Interrupt",
            f"+callbacks.cut.step={step}",
        )
    whole, cut = commands.runs()[0], commands.runs("cut")[0]
    assert (cut / "checkpoints/last.ckpt").is_file()
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    assert commands.runs("cut") == [cut], "a continued run stays in its folder"
    expected, continued = losses(whole), losses(cut)
    assert sorted(continued) == sorted(expected)
    assert continued == pytest.approx(expected, rel=1e-6)
    last = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, cut)]
    for name, tensor in last[0]["state_dict"].items():
        torch.testing.assert_close(last[1]["state_dict"][name], tensor, msg=name)
    assert numbers(cut)["last"] == pytest.approx(numbers(whole)["last"], rel=1e-5)


def test_resume_auto_takes_the_latest_run_and_starts_one_where_there_is_none(
    commands: Commands,
) -> None:
    commands.train("resume=auto", "trainer.max_epochs=1")
    [run] = commands.runs()
    commands.train("resume=auto", "trainer.max_epochs=2", tiny=False)
    assert commands.runs() == [run]
    assert sorted(losses(run)) == [0, 1, 2, 3, 4, 5]


def test_weights_initialize_and_another_skeleton_gets_a_new_last_layer(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("trainer.max_epochs=1", "optimizer.lr=0", "optimizer.weight_decay=0")
    file = commands.runs()[0] / "checkpoints/last.ckpt"
    capsys.readouterr()
    commands.train(f"weights={file}", "trainer.max_epochs=1", "skeleton=wholebody133")
    shown = capsys.readouterr().out
    assert "newly initialized: head.out.weight, head.out.bias" in shown


def test_a_checkpoint_of_another_skeleton_is_refused(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("trainer.max_epochs=1", "debug=fast")
    file = commands.runs()[0] / "checkpoints/last.ckpt"
    with pytest.raises(SystemExit):
        commands.evaluate(f"ckpt_path={file}", "skeleton=wholebody133")
    said = capsys.readouterr().err
    assert "17 (nose, left_eye, right_eye, ...)" in said
    assert "this run has 133" in said
    assert "weights=PATH" in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["optimzer.lr=1e-3"], "did you mean `optimizer.lr`"),
        (["data.batchsize=3"], "`data.batch_size`"),
        (["experiment=pose/sintetic"], "`experiment=pose/synthetic`"),
        (["backbone=sapiens_3b"], "`backbone=sapiens_2b`"),
        (["resume=nowhere.ckpt"], "resume=nowhere.ckpt: there is no such file"),
        (["weights=nowhere.pth"], "weights=nowhere.pth: there is no such file"),
        (["skeleton=coco71"], "did you mean coco17"),
        (["data.batch_size=0"], "data.batch_size is 0"),
        (["data.limit=0"], "data.limit is 0"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0 trains nothing"),
        (["scheduler.warmup=-1"], "scheduler.warmup=-1 must not be negative"),
        (["image_size=[100,48]"], "does not divide into patches"),
        (["experiment=pose/coco17", "data.root=nowhere"], "data.root=nowhere is not a folder"),
    ],
)
def test_mistakes_are_answered_before_the_first_step(
    commands: Commands, capsys: pytest.CaptureFixture[str], words: list[str], answer: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.train(*words, tiny="experiment=pose/coco17" not in words)
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert answer in said
    assert "Traceback" not in said


def test_only_the_wrong_word_is_corrected(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train(
            "experiment=pretrain/synthetic", "model.decoder_dim=24", "model.decoder_din=3"
        )
    said = capsys.readouterr().err
    assert "`model.decoder_din=3`" in said
    assert "`model.decoder_dim=24`" not in said


def test_evaluating_without_a_run_says_how_to_get_one(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.evaluate()
    assert "python train.py experiment=pose/synthetic" in capsys.readouterr().err


def test_a_run_never_writes_into_the_folder_of_another(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("debug=fast", "hydra.run.dir=mine")
    before = (commands.cwd / "mine/metrics.csv").read_bytes()
    with pytest.raises(SystemExit):
        commands.train("debug=fast", "hydra.run.dir=mine")
    assert "already holds a run" in capsys.readouterr().err
    assert (commands.cwd / "mine/metrics.csv").read_bytes() == before


def test_a_sweep_trains_one_run_a_value(commands: Commands) -> None:
    commands.train("-m", "trainer.max_epochs=1", "optimizer.lr=1e-3,1e-4")
    [sweep] = commands.runs()
    configs = [(sweep / job / "overrides.yaml").read_text() for job in ("0", "1")]
    assert "optimizer.lr=1e-3" in configs[0].replace("0.001", "1e-3")
    assert configs[0] != configs[1]
    assert all(len(losses(sweep / job)) == 3 for job in ("0", "1"))


def test_a_sweep_over_several_devices_is_refused(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train("-m", "seed=1,2", "trainer=ddp", "trainer.accelerator=cpu")
    assert "one device" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["fast", "profile"])
def test_debug_modes(commands: Commands, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands.train(f"debug={mode}", "data.batch_size=2", "trainer.max_epochs=1")
    [run] = commands.runs()
    assert len(losses(run)) == (2 if mode == "fast" else 6)
    if mode == "profile":
        assert "run_training_batch" in capsys.readouterr().out + (run / "messages.log").read_text()


def test_weights_and_biases_without_network(commands: Commands) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    script = [sys.executable, str(ROOT / "train.py"), *TINY, "debug=fast"]
    subprocess.run(
        [*script, "logger=wandb", "logger.wandb.offline=true"],
        cwd=commands.cwd, check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    [run] = commands.runs()
    assert list(run.glob("wandb/offline-run-*/*.wandb"))


def test_two_processes_count_nothing_twice(commands: Commands) -> None:
    """5 held-out people on 2 processes, and the training batches of one."""
    words = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "data.train.num_scenes=8"]
    commands.train(*words, "data.batch_size=4")
    script = [sys.executable, str(ROOT / "train.py"), *TINY, *words]
    result = subprocess.run(
        [*script, "trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2"],
        cwd=commands.cwd, timeout=300, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    alone, together = (numbers(run)["last"] for run in commands.runs())
    assert together == pytest.approx(alone, rel=2e-4)
    first, second = commands.runs()
    # Rank 0 logs the loss of its half of each batch, so the weights are what can be compared.
    a, b = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (first, second)
    )
    for name in a:
        if ".convs." in name and name.endswith("bias"):
            continue  # before an instance norm its gradient is rounding noise, which Adam enlarges
        torch.testing.assert_close(b[name], a[name], rtol=1e-3, atol=1e-5, msg=name)


def test_the_commands_work_from_any_folder_as_installed_scripts(commands: Commands) -> None:
    script = Path(sys.executable).parent / "sapiens-train"
    result = subprocess.run(
        [str(script), *TINY, "debug=fast"], cwd=commands.cwd, capture_output=True, timeout=300
    )
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    assert (commands.runs()[0] / "metrics.json").is_file()


def test_a_folder_of_configs_of_ones_own(commands: Commands) -> None:
    folder = commands.cwd / "mine" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - pose/synthetic\n  - _self_\nseed: 7\n"
    (folder / "own.yaml").write_text(text)
    commands.train("--config-dir", "mine", "experiment=own", "debug=fast")
    [run] = commands.runs("own")
    assert "seed: 7" in (run / "config.yaml").read_text()


def test_rows_of_the_metrics_file_are_complete(commands: Commands) -> None:
    commands.train("trainer.max_epochs=1")
    with (commands.runs()[0] / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    validated = [row for row in rows if row["val/PCK@0.1"]]
    assert len(validated) == 1
    assert all(math.isfinite(float(v)) for v in validated[0].values() if v)


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(commands: Commands) -> None:
    commands.train()
    words = ["experiment_name=cut", "+callbacks.cut._target_=tests.interrupt.Kill"]
    script = [sys.executable, str(ROOT / "train.py"), *TINY, *words, "+callbacks.cut.step=4"]
    result = subprocess.run(
        script, cwd=commands.cwd, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL
    [cut] = commands.runs("cut")
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    whole = commands.runs()[0]
    a, b = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (whole, cut)
    )
    for name in a:
        torch.testing.assert_close(b[name], a[name], msg=name)


def test_steps_without_a_finite_gradient_are_skipped_and_named(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("+callbacks.p._target_=tests.interrupt.Poison", "data.batch_size=2")
    commands.train(*words, "+callbacks.p.steps=[1,2]")
    said = capsys.readouterr().out
    assert "step 1 skipped: the gradient's norm is nan; its samples: " in said
    assert "step 2 skipped" in said
    run = commands.runs()[-1]
    assert all(math.isfinite(loss) for loss in losses(run).values())
    with pytest.raises(SystemExit):
        commands.train(*words, f"+callbacks.p.steps={list(range(1, 30))}".replace(" ", ""))
    assert "10 steps in a row" in capsys.readouterr().err
    state = torch.load(commands.runs()[-1] / "checkpoints/last.ckpt", weights_only=True)
    assert all(v.isfinite().all() for v in state["state_dict"].values() if v.is_floating_point())
