"""Several kept checkpoints, of which the best has a second name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from sapiens_lab import atomic
from tests.training.scripted import fitted, saved_epoch

SCRIPT = [{"AP": value} for value in (0.2, 0.5, 0.3, 0.5, 0.1, 0.4)]


def kept(folder: Path) -> dict[str, int]:
    return {path.name: saved_epoch(path) for path in sorted(folder.glob("*.ckpt"))}


def test_the_best_three_stay_and_a_continued_run_goes_on_with_them(tmp_path: Path) -> None:
    fitted(tmp_path, SCRIPT[:3], save_top_k=2)
    assert kept(tmp_path) == {
        "best.ckpt": 2,
        "epoch_0002_step_000004.ckpt": 2,
        "epoch_0003_step_000006.ckpt": 3,
        "last.ckpt": 3,
    }
    path = str(tmp_path / "last.ckpt")
    best, _ = fitted(tmp_path, SCRIPT[3:], save_top_k=2, ckpt_path=path, max_epochs=6)
    assert kept(tmp_path) == {
        "best.ckpt": 4,  # of equal validations the later
        "epoch_0002_step_000004.ckpt": 2,
        "epoch_0004_step_000008.ckpt": 4,
        "last.ckpt": 6,
    }
    assert Path(best.best_model_path).name == "epoch_0004_step_000008.ckpt"
    assert (tmp_path / "best.ckpt").samefile(best.best_model_path), "no room is taken twice"


def test_what_another_metric_chose_is_deleted(tmp_path: Path) -> None:
    fitted(tmp_path, [{"AP": 0.0}, {"AP": 0.0}, {"AP": 0.1}], save_top_k=2)
    assert set(kept(tmp_path)) == {"best.ckpt", "epoch_0003_step_000006.ckpt", "last.ckpt"}


def test_all_stay_or_none(tmp_path: Path) -> None:
    fitted(tmp_path / "all", SCRIPT, save_top_k=-1)
    assert len(list((tmp_path / "all").glob("epoch_*.ckpt"))) == len(SCRIPT)
    fitted(tmp_path / "none", SCRIPT, save_top_k=0)
    assert set(kept(tmp_path / "none")) == {"last.ckpt"}


def test_without_hard_links_the_best_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("this file system has no links")

    monkeypatch.setattr(os, "link", refuse)
    torch.save({"a": 1}, tmp_path / "epoch.ckpt")
    (tmp_path / "best.ckpt").write_text("an earlier one")
    atomic.link_file(tmp_path / "epoch.ckpt", tmp_path / "best.ckpt")
    assert (tmp_path / "best.ckpt").read_bytes() == (tmp_path / "epoch.ckpt").read_bytes()
    assert not list(tmp_path.glob(".*.part"))
