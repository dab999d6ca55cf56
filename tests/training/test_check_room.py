"""The room that a run takes is estimated before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from sapiens_lab.training.callbacks import check_room
from sapiens_lab.training.callbacks.check_room import estimate
from tests.command import TINY, Commands, status


def test_parameters_moments_and_what_is_replaced_are_counted(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False))
    model[0].requires_grad_(False)
    best = ModelCheckpoint(dirpath=tmp_path, monitor="x", save_top_k=3, save_weights_only=True)
    last = ModelCheckpoint(dirpath=tmp_path)
    weights, moments = 800, 2 * 400
    assert estimate(model, []) == weights, "the export"
    assert estimate(model, [best, last]) == weights + 4 * weights + 2 * (weights + moments)


def test_too_little_room_is_refused_before_training(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_room, "free_bytes", lambda _: 1_000_000)
    assert status("train", *TINY) == 1
    said = capsys.readouterr().err
    assert "the checkpoints of this run need about" in said
    assert "has 1.0 MB free, so" in said
    assert "are missing. Free some" in said
    assert not list(commands.runs()[0].glob("checkpoints/*"))
