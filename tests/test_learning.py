"""Every task overfits a few rendered people, through the real command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.command import Commands, metrics

WORDS = (
    "debug=overfit",
    "trainer=cpu",
    "image_size=[64,48]",
    "head_width=32",
    "data.train.num_scenes=4",
    "data.num_workers=0",
    "trainer.max_epochs=140",
    "trainer.check_val_every_n_epoch=140",
    "optimizer.lr=2e-3",
)


def learned(commands: Commands, experiment: str, *words: str) -> dict[str, float]:
    commands.train(f"experiment={experiment}/synthetic", *WORDS, *words, tiny=False)
    last: dict[str, float] = metrics(commands.runs(f"{experiment}/synthetic")[-1])["last"]
    return last


@pytest.mark.parametrize(
    ("experiment", "is_right"),
    [
        ("pose", lambda n: n["val/AP50"] > 0.9),
        ("segmentation", lambda n: n["val/mIoU"] > 0.25 and n["val/mAcc"] > 0.6),
        ("depth", lambda n: n["val/rmse"] < 0.12),
        ("normal", lambda n: n["val/mean_angular_error"] < 20),
        (
            "multitask",
            lambda n: (
                n["val/PCK@0.1"] > 0.7
                and n["val/mIoU"] > 0.1
                and n["val/rmse"] < 0.15
                and n["val/mean_angular_error"] < 20
            ),
        ),
        ("pretrain", lambda n: n["val/loss"] < 0.8),
    ],
)
def test_a_task_learns(
    commands: Commands, experiment: str, is_right: Callable[[dict[str, float]], bool]
) -> None:
    last = learned(commands, experiment)
    assert is_right(last), last
    run = commands.runs(f"{experiment}/synthetic")[-1]
    assert (run / "export/model.safetensors").is_file()
    assert list((run / "predictions").glob("*.png"))
    commands.evaluate(f"experiment={experiment}/synthetic")
    measured = metrics(commands.runs(f"{experiment}/synthetic")[-1])["test"]
    assert measured["test/loss"] == pytest.approx(last["val/loss"], rel=1e-4)


def test_pretraining_hands_its_encoder_on(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    learned(commands, "pretrain", "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1")
    export = commands.runs("pretrain/synthetic")[-1] / "export"
    capsys.readouterr()
    learned(commands, "segmentation", f"weights={export}", "trainer.max_epochs=1",
            "trainer.check_val_every_n_epoch=1")  # fmt: skip
    said = capsys.readouterr().out
    assert "newly initialized: head." in said
    assert "unused: backbone.cls_token, decoder." in said
