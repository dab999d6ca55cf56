"""Checkpoints are read by our reader, whoever in Lightning asks for them."""

from __future__ import annotations

import fractions
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from sapiens_lab.training.checkpoint_io import SafeCheckpointIO


def trainer(folder: Path, max_epochs: int) -> L.Trainer:
    return L.Trainer(
        default_root_dir=folder,
        max_epochs=max_epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        plugins=SafeCheckpointIO(),
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's, about workers and missing loops
def test_a_run_continues_without_torch_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer(tmp_path, 1)
    first.fit(BoringModel())
    first.save_checkpoint(tmp_path / "a.ckpt")

    def fail(*args: object, **options: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", fail)
    second = trainer(tmp_path, 2)
    second.fit(BoringModel(), ckpt_path=tmp_path / "a.ckpt")
    assert second.global_step == 2 * first.global_step


def test_weights_without_a_state_are_told_apart(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=r"mine\.pth holds weights and no state.*weights="):
        SafeCheckpointIO().load_checkpoint(tmp_path / "mine.pth")


def test_objects_are_named_and_not_made(tmp_path: Path) -> None:
    content = {"pytorch-lightning_version": "2.6.0", "callbacks": fractions.Fraction(1, 2)}
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a\.ckpt is not continued: .*fractions\.Fraction"):
        SafeCheckpointIO().load_checkpoint(tmp_path / "a.ckpt")
