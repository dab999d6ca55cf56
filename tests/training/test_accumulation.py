from __future__ import annotations

import logging

import lightning as L
import pytest

from sapiens_lab.training.accumulation import accumulate
from tests.command import Commands, losses


def trainer(steps: int = 1) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        accumulate_grad_batches=steps,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
    )


def test_the_batches_of_a_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = trainer()
    accumulate(one, batch_size=16, effective_batch=64)
    assert one.accumulate_grad_batches == 4
    assert "effective batch: 64 = 16 images x 1 process x 4 accumulated" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "answer"), [(40, "no multiple of 16.*effective_batch=32"), (8, "effective_batch=16")]
)
def test_what_does_not_divide_is_refused(wanted: int, answer: str) -> None:
    with pytest.raises(ValueError, match=answer):
        accumulate(trainer(), batch_size=16, effective_batch=wanted)


def test_both_ways_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="give one of the two"):
        accumulate(trainer(2), batch_size=16, effective_batch=64)


def test_a_run_makes_so_many_steps_and_logs_its_norms(commands: Commands) -> None:
    commands.train("effective_batch=8", "trainer.max_epochs=1")
    [run] = commands.runs()
    assert sorted(losses(run)) == [0, 1], "12 images: a step of 8 and one of what is left"
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/grad_norm", "train/param_norm", "lr-AdamW/layer_00_decay"} <= set(header)
