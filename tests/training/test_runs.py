"""Which checkpoint a run continues from."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch

from sapiens_lab.training.runs import WeightsOnlyError, check_state, latest_state

STATE = {"state_dict": {"a": torch.ones(3)}, "optimizer_states": []}


def save(folder: Path, name: str, content: object, age_s: int) -> Path:
    path = folder / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    now = 1_000_000
    os.utime(path, (now - age_s, now - age_s))
    return path.resolve()


def damage(path: Path) -> None:
    times = path.stat().st_mtime
    path.write_bytes(path.read_bytes()[:-100])
    os.utime(path, (times, times))


def test_the_last_state_of_the_latest_run(tmp_path: Path) -> None:
    save(tmp_path / "old", "last.ckpt", STATE, 100)
    last = save(tmp_path / "new", "last.ckpt", STATE, 50)
    save(tmp_path / "new", "epoch3.ckpt", STATE, 10)
    assert latest_state(tmp_path) == last
    assert latest_state(tmp_path / "nothing") is None


def test_a_damaged_one_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = save(tmp_path / "new", "last.ckpt", STATE, 10)
    save(tmp_path / "new", "epoch1.ckpt", STATE, 30)
    whole = save(tmp_path / "new", "epoch2.ckpt", STATE, 20)
    damage(last)
    with caplog.at_level(logging.WARNING):
        assert latest_state(tmp_path) == whole
    assert f"skipped: {last.relative_to(last.root)}" in caplog.text.replace(str(last.root), "", 1)
    assert "truncated, damaged" in caplog.text


def test_damaged_states_alone_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "old", "last.ckpt", STATE, 100)
    damage(save(tmp_path / "new", "last.ckpt", STATE, 10))
    save(tmp_path / "new", "best.ckpt", {"state_dict": {}}, 20)
    with pytest.raises(ValueError, match=r"no checkpoint of .*new can be continued.*weights=PATH"):
        latest_state(tmp_path)


def test_a_run_that_was_killed_before_its_first_state_is_begun_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "new", "best.ckpt", {"state_dict": {}}, 20)
    assert latest_state(tmp_path) is None
    assert "best.ckpt holds weights and no state of a run" in caplog.text


def test_weights_are_no_state(tmp_path: Path) -> None:
    path = save(tmp_path, "mine.pth", {"a": torch.ones(3)}, 0)
    with pytest.raises(WeightsOnlyError, match=rf"no state of a run: start.*weights={path}"):
        check_state(path)
