"""The moving average is what is measured, kept and exported; the weights go on from themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from sapiens_lab.training.callbacks.ema import EMA, averaged_tensors, ema
from sapiens_lab.training.learner import Learner
from sapiens_lab.weights.model import load_model
from tests.command import Commands, losses, metrics
from tests.training.scripted import fitted

WORDS = ("ema=0.9", "tune=lora", "data.num_workers=1", "backbone.drop_path=0.2")


def last(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    return content


def raw(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = checkpoint["callbacks"]["EMA"]["raw"]
    return weights


def test_a_resumed_run_ends_as_a_straight_one_and_keeps_and_exports_the_average(
    commands: Commands,
) -> None:
    cut = ["+callbacks.cut._target_=tests.interrupt.Interrupt", "+callbacks.cut.step=4"]
    with pytest.raises(SystemExit):
        commands.train(*WORDS, "experiment_name=cut", *cut)
    [resumed] = commands.runs("cut")
    commands.train(f"resume={resumed}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    commands.train(*WORDS)
    [straight] = commands.runs()
    assert losses(resumed) == pytest.approx(losses(straight), rel=1e-6)
    ours, expected = last(resumed), last(straight)
    for name, tensor in expected["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][name], tensor, msg=name)
    for name, tensor in raw(expected).items():
        torch.testing.assert_close(raw(ours)[name], tensor, msg=name)

    average = {k.removeprefix("model."): v for k, v in expected["state_dict"].items()}
    trained = [name for name in raw(expected) if "lora" in name or name.startswith("head")]
    assert any("lora" in name for name in trained)
    assert all(bool((average[name] != raw(expected)[name]).any()) for name in trained)
    assert "backbone.blocks.0.attn.qkv.linear.weight" not in raw(expected), "it is frozen"
    best = torch.load(straight / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(best[f"model.{name}"], tensor) for name, tensor in average.items())
    exported = load_model(straight / "export").eval()
    saved = load_model(straight / "checkpoints/last.ckpt").eval()
    image = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(exported(image), saved(image), rtol=1e-4, atol=1e-5)
    commands.evaluate("ckpt_path=auto")
    [measured] = commands.runs(pattern="*_evaluate")
    assert metrics(measured)["test"]["test/loss"] == pytest.approx(
        metrics(straight)["best"]["val/loss"], rel=1e-5
    )


def weight_of(trainer: L.Trainer) -> float:
    assert isinstance(trainer.lightning_module, Learner)
    return float(trainer.lightning_module.model.state_dict()["weight"])


def test_the_average_of_hand_computed_steps(tmp_path: Path) -> None:
    """Gradient 1 and learning rate 0.1: the weight falls by 0.1 a step; decays 2/11, 3/12, ..."""
    callback = EMA(decay=0.26)
    _, trainer = fitted(tmp_path, [{"AP": 0.1}, {"AP": 0.2}], callbacks=[callback])
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    end = float(state["callbacks"]["EMA"]["raw"]["weight"])
    assert end == pytest.approx(weight_of(trainer))
    average, weight = end + 0.4, end + 0.4
    for decay in (2 / 11, 3 / 12, 0.26, 0.26):
        weight -= 0.1
        average = decay * average + (1 - decay) * weight
    assert float(state["state_dict"]["model.weight"]) == pytest.approx(average, rel=1e-5)


def test_other_trained_weights_than_before_are_refused(tmp_path: Path) -> None:
    fitted(tmp_path, [{"AP": 0.1}], callbacks=[EMA(decay=0.5)], max_epochs=1)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del state["callbacks"]["EMA"]["raw"]["bias"]
    torch.save(state, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"averaged 1 tensors, this one has 2.*`tune=`"):
        fitted(
            tmp_path, [{"AP": 0.1}], callbacks=[EMA(decay=0.5)], max_epochs=2,
            ckpt_path=str(tmp_path / "other.ckpt"),
        )  # fmt: skip


def test_frozen_weights_and_counters_are_not_averaged() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].weight.requires_grad_(False)
    names = {"0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    assert set(averaged_tensors(model)) == names
    assert ema(decay=None) is None
