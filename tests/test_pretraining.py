"""Pretraining from the command line: several processes, masks, a decoder alone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sapiens_lab.models.masking import PatchMask, RandomMasking, mask_by_noise
from tests.command import Commands, losses
from tests.conftest import ROOT

TINY = (
    "experiment=pretrain/synthetic", "trainer=cpu", "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1", "trainer.log_every_n_steps=1", "image_size=[64,48]",
    "model.decoder_dim=24", "model.decoder_layers=1", "model.decoder_heads=2",
    "data.train.num_scenes=8", "data.val.num_scenes=5", "data.batch_size=4", "data.num_workers=0",
)  # fmt: skip
PROBED = (*TINY, "callbacks.probe.train.num_scenes=7", "callbacks.probe.val.num_scenes=7")
ALONE = (*TINY, "probe=none")


class SameMasks(RandomMasking):
    """The same patches of every image: what several processes draw together is then known."""

    def __call__(self, batch_size: int, grid: tuple[int, int], device: torch.device) -> PatchMask:  # type: ignore[override]
        noise = torch.rand(grid[0] * grid[1], generator=torch.Generator().manual_seed(3))
        return mask_by_noise(noise.expand(batch_size, -1).to(device), ratio=0.75)


def weights(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    return state["state_dict"]  # type: ignore[return-value]


def agree(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    for name in a:
        torch.testing.assert_close(b[name], a[name], rtol=1e-3, atol=2e-5, msg=name)


def test_two_processes_and_accumulation_learn_what_one_process_learns(commands: Commands) -> None:
    words = (
        *PROBED,
        "model.masking._target_=tests.test_pretraining.SameMasks",
        "optimizer.lr=1e-4",
    )
    commands.train(*words, "experiment_name=alone", tiny=False)
    commands.train(
        *words, "data.batch_size=2", "trainer.accumulate_grad_batches=2", "experiment_name=parts",
        tiny=False,
    )  # fmt: skip
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2", "experiment_name=two")
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, *ddp],
        cwd=commands.cwd, timeout=300, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    alone, parts, two = (commands.runs(name)[0] for name in ("alone", "parts", "two"))
    agree(weights(alone), weights(parts))
    agree(weights(alone), weights(two))
    for name in ("val/loss", "val/probe_acc", "val/probe_PCK"):
        numbers = [_last(run, name) for run in (alone, parts, two)]
        assert numbers[1:] == pytest.approx([numbers[0]] * 2, rel=1e-3), name


def _last(run: Path, name: str) -> float:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)][-1]


def test_checkpointing_and_half_precision_learn_much_the_same(commands: Commands) -> None:
    for name, extra in {
        "plain": [],
        "checkpointed": ["backbone.activation_checkpointing=true"],
        "halved": ["trainer.precision=bf16-mixed"],
    }.items():
        commands.train(*ALONE, *extra, f"experiment_name={name}", tiny=False)
    plain, checkpointed, halved = (
        losses(commands.runs(name)[0]) for name in ("plain", "checkpointed", "halved")
    )
    assert checkpointed == pytest.approx(plain, rel=1e-5)
    assert halved == pytest.approx(plain, rel=0.03)
    assert halved != plain


def test_the_decoder_alone_learns_on_a_frozen_encoder(commands: Commands) -> None:
    commands.train(*ALONE, "trainer.max_epochs=1", tiny=False)
    export = commands.runs("pretrain/synthetic")[0] / "export"
    commands.train(
        *ALONE, f"weights={export}", "head_init=drop", "tune=head", "experiment_name=decoder",
        tiny=False,
    )  # fmt: skip
    before = weights(commands.runs("pretrain/synthetic")[0])
    after = weights(commands.runs("decoder")[0])
    for name, tensor in before.items():
        if "backbone" in name:
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=0, msg=name)
    assert not torch.equal(after["model.decoder.out.weight"], before["model.decoder.out.weight"])


def test_a_schedule_hides_more_and_more(commands: Commands) -> None:
    commands.train(
        *ALONE, "callbacks=masking_schedule", "callbacks.masking.start=0.5",
        "callbacks.masking.end=0.9", tiny=False,
    )  # fmt: skip
    [run] = commands.runs("pretrain/synthetic")
    with (run / "metrics.csv").open(newline="") as file:
        ratios = [float(r["masking_ratio"]) for r in csv.DictReader(file) if r.get("masking_ratio")]
    assert ratios == pytest.approx([0.5, 0.5 + 0.4 / 3, 0.5 + 0.8 / 3, 0.9])
    assert len(losses(run)) == 4


def test_only_pretraining_has_a_schedule_of_masks(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train("callbacks=masking_schedule")
    assert "only pretraining masks patches" in capsys.readouterr().err
