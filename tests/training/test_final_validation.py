from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.callbacks import Callback

from sapiens_lab.training.callbacks.final_validation import refuse_empty_training
from tests.training.scripted import STEPS_PER_EPOCH, fitted, saved_epoch


def script(num: int) -> list[dict[str, float]]:
    return [{"AP": 0.1 * (i + 1)} for i in range(num)]


class Stop(Callback):
    """Stop as a timer or an early stop does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Stop after a step."""
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.step


class Slow(Callback):
    """Let a step take some time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, *args: Any) -> None:
        """Wait."""
        time.sleep(self.seconds)


@pytest.mark.parametrize(
    ("options", "validations", "steps"),
    [
        ({"max_epochs": 6, "check_val_every_n_epoch": 4}, 2, 12),
        ({"max_epochs": 2, "check_val_every_n_epoch": 4}, 1, 4),  # shorter than one interval
        ({"max_epochs": 4, "check_val_every_n_epoch": 4}, 1, 8),  # no second one at the end
        ({"max_steps": 3, "max_epochs": -1, "check_val_every_n_epoch": 4}, 1, 3),
        ({"max_epochs": 6, "check_val_every_n_epoch": 4, "callbacks": [Stop(3)]}, 1, 3),
        (
            {"max_epochs": 6, "max_time": timedelta(seconds=1), "callbacks": [Slow(1.1)]}
            | {"check_val_every_n_epoch": 4},
            1,
            1,
        ),
        (
            {
                "max_epochs": 3,
                "min_epochs": 3,
                "check_val_every_n_epoch": 3,
                "callbacks": [Stop(1)],
            },
            1,
            6,
        ),
    ],
)
def test_the_last_weights_are_validated_and_saved(
    tmp_path: Path, options: dict[str, Any], validations: int, steps: int
) -> None:
    best, trainer = fitted(tmp_path, script(validations), **options)
    assert trainer.global_step == steps
    assert best.score == pytest.approx(0.1 * validations), "the last validation is the best here"
    for name in ("best", "last"):
        assert saved_epoch(tmp_path / f"{name}.ckpt") == -(-steps // STEPS_PER_EPOCH), name
    assert json.loads((tmp_path / "metrics.json").read_text())["last"]["val/AP"] == best.score


@pytest.mark.parametrize(
    "option", [{"max_epochs": 0}, {"max_steps": 0}, {"limit_train_batches": 0}]
)
def test_a_run_without_a_step_is_refused(option: dict[str, int]) -> None:
    trainer = L.Trainer(accelerator="cpu", logger=False, **option)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"trainer.{next(iter(option))}=0 trains nothing"):
        refuse_empty_training(trainer)
