"""``sapiens train``: what a run leaves behind, sweeps, processes, debug modes."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.command import TINY, Commands, Run, losses, metrics
from tests.conftest import ROOT


def test_a_run_leaves_everything_behind(trained: Run) -> None:
    for name in (
        "config.yaml",
        "overrides.yaml",
        "environment.txt",
        "metrics.csv",
        "metrics.json",
        "first_batch.png",
        "predictions/epoch_0001.png",
        "predictions/epoch_0002.png",
        "hardest/epoch_0002.csv",
        "hardest/epoch_0002.png",
        "tables/PCK@0.1.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ):
        assert (trained.folder / name).stat().st_size > 0, name
    assert list((trained.folder / "tensorboard").glob("events.*"))
    assert sorted(losses(trained.folder)) == [0, 1, 2, 3, 4, 5]
    assert "epoch 2/2" in trained.printed
    assert "samples/s" in trained.printed
    assert "best checkpoint: outputs/pose/synthetic/" in trained.printed


def test_where_the_metric_says_nothing_the_loss_chooses_checkpoint_and_export(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    # AP is 0 in both validations.
    commands.train("optimizer.lr=1e-6", "callbacks.report.full=true")
    [run] = commands.runs()
    rows = metrics(run)
    assert rows["last"]["val/AP"] == 0
    assert rows["best"]["val/loss"] <= rows["last"]["val/loss"]
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == rows["best"]["epoch"]
    exported = load_file(run / "export/model.safetensors")
    for name, tensor in exported.items():
        assert torch.equal(best["state_dict"][f"model.{name}"], tensor), name
    said = capsys.readouterr().out
    assert "val/NME" in said, "no headline, shown on request"
    assert "chosen by val/loss: val/AP was 0 or undefined in every validation" in said


def test_checkpoints_hold_tensors_and_plain_values_only(trained: Run) -> None:
    for name in ("best", "last"):
        torch.load(trained.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_rows_of_the_metrics_file_are_complete(trained: Run) -> None:
    with (trained.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    validated = [row for row in rows if row["val/PCK@0.1"]]
    assert len(validated) == 2
    assert all(math.isfinite(float(v)) for row in validated for v in row.values() if v)


def test_only_what_differs_from_the_defaults_is_printed(trained: Run) -> None:
    """The experiment's choices and values and the user's, in about ten lines."""
    begin = trained.printed.index("experiment   ")  # people may be rendered before
    head = trained.printed[begin : trained.printed.index("parameters", begin)]
    assert "experiment   pose/synthetic" in head
    assert "task=pose" in head
    assert "optimizer.lr=0.0012" in head  # of the experiment's file
    assert "your values" in head
    assert "data.batch_size=4" in head
    assert "head_width=64" not in head  # overridden
    assert len(head.splitlines()) <= 15
    assert "_target_" not in head


def test_the_whole_config_is_printed_on_request_and_errors_come_without(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train("print_config=true", "image_size=[100,48]")
    assert "_target_" not in capsys.readouterr().out
    commands.train("print_config=true", "debug=fast")
    assert "_target_: sapiens_lab.training.learner.Learner" in capsys.readouterr().out


def test_weights_initialize_and_another_skeleton_gets_a_new_last_layer(
    commands: Commands, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trained.folder / "checkpoints/last.ckpt"
    commands.train(f"weights={file}", "debug=fast", "skeleton=wholebody133")
    assert "newly initialized: head.out.weight, head.out.bias" in capsys.readouterr().out


def test_a_run_never_writes_into_the_folder_of_another(
    commands: Commands, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained.folder / "metrics.csv").read_bytes()
    with pytest.raises(SystemExit):
        commands.train("debug=fast", f"hydra.run.dir='{trained.folder}'")
    assert "already holds a run" in capsys.readouterr().err
    assert (trained.folder / "metrics.csv").read_bytes() == before


def test_a_sweep_trains_one_run_a_value(commands: Commands) -> None:
    commands.train("-m", "debug=fast", "trainer.max_epochs=1", "optimizer.lr=1e-3,1e-4")
    [sweep] = commands.runs()
    configs = [(sweep / job / "overrides.yaml").read_text() for job in ("0", "1")]
    assert "optimizer.lr=1e-3" in configs[0].replace("0.001", "1e-3")
    assert configs[0] != configs[1]
    assert all(len(losses(sweep / job)) == 2 for job in ("0", "1"))


def test_a_sweep_over_several_devices_is_refused(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train("-m", "seed=1,2", "trainer=ddp", "trainer.accelerator=cpu")
    assert "one device" in capsys.readouterr().err


def test_two_processes_count_nothing_twice(commands: Commands) -> None:
    """5 held-out people on 2 processes, and the training batches of one.

    The second process is started with the same command line: the subcommand must be in it.
    """
    overrides = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "data.train.num_scenes=8"]
    commands.train(*overrides, "data.batch_size=4")
    script = [sys.executable, "-m", "sapiens_lab", "train", *TINY, *overrides]
    result = subprocess.run(
        [*script, "trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2"],
        cwd=commands.cwd, timeout=300, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert "sync_dist" not in result.stdout + result.stderr
    alone, together = (metrics(run)["last"] for run in commands.runs())
    assert together == pytest.approx(alone, rel=2e-4)
    first, second = commands.runs()
    tables = [(run / "hardest/epoch_0001.csv").read_text() for run in (first, second)]
    assert [sorted(row.split(",")[0] for row in t.splitlines()[1:]) for t in tables] == 2 * [
        ["0", "1", "2", "3", "4"]
    ]
    # Rank 0 logs the loss of its half of each batch, so the weights are what can be compared.
    a, b = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (first, second)
    )
    for name in a:
        if ".convs." in name and name.endswith("bias"):
            continue  # before an instance norm its gradient is rounding noise, which Adam enlarges
        torch.testing.assert_close(b[name], a[name], rtol=1e-3, atol=1e-5, msg=name)


def test_a_folder_of_configs_of_ones_own(commands: Commands) -> None:
    folder = commands.cwd / "mine" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - pose/synthetic\n  - _self_\nseed: 7\n"
    (folder / "own.yaml").write_text(text)
    commands.train("--config-dir", "mine", "experiment=own", "debug=fast")
    [run] = commands.runs("own")
    assert "seed: 7" in (run / "config.yaml").read_text()


def test_steps_without_a_finite_gradient_are_skipped_and_named(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("+callbacks.p._target_=tests.interrupt.Poison", "data.batch_size=1")
    commands.train(*overrides, "trainer.max_epochs=1", "+callbacks.p.steps=[1,2]")
    said = capsys.readouterr().out
    assert "step 1 skipped: the gradient's norm is nan; its samples: " in said
    assert "step 2 skipped" in said
    run = commands.runs()[-1]
    assert all(math.isfinite(loss) for loss in losses(run).values())
    with pytest.raises(SystemExit):
        commands.train(*overrides, f"+callbacks.p.steps={list(range(1, 30))}".replace(" ", ""))
    assert "10 steps in a row" in capsys.readouterr().err
    state = torch.load(commands.runs()[-1] / "checkpoints/last.ckpt", weights_only=True)
    assert all(v.isfinite().all() for v in state["state_dict"].values() if v.is_floating_point())
