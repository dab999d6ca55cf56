from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sapiens_lab.training.callbacks.early_stopping import EarlyStopping, early_stopping
from tests.training.scripted import fitted

SCRIPT = [{"AP": value} for value in (0, 0, 0, 0.2, 0.3, 0.3, 0.1, 0.4, 0.5)]


def stopping(patience: int) -> EarlyStopping:
    return EarlyStopping(monitor="val/AP", mode="max", patience=patience)


def test_it_stops_after_so_many_validations_and_stays_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    best, trainer = fitted(tmp_path, SCRIPT, callbacks=[stopping(2)])
    assert trainer.current_epoch == 7, "AP of 0 says nothing; 0.3 and 0.1 are no better than 0.3"
    assert best.score == pytest.approx(0.3)
    assert "val/AP has not improved on 0.3 in 2 validations" in caplog.text
    path = str(tmp_path / "last.ckpt")
    _, resumed = fitted(tmp_path, SCRIPT, callbacks=[stopping(2)], ckpt_path=path)
    assert resumed.global_step == trainer.global_step
    assert "early_stopping=null or a larger number goes on" in caplog.text
    _, longer = fitted(
        tmp_path, SCRIPT[7:], callbacks=[stopping(3)], ckpt_path=path, max_epochs=len(SCRIPT)
    )
    assert longer.current_epoch == len(SCRIPT)


def test_it_is_off_without_a_patience() -> None:
    assert early_stopping(monitor="val/AP", mode="max", patience=None) is None
