"""Checkpoints are read by our reader, whoever in Lightning asks for them."""

from __future__ import annotations

import errno
import fractions
from pathlib import Path
from typing import IO, Any

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from sapiens_lab.atomic import WriteError
from sapiens_lab.training.checkpoint_io import SafeCheckpointIO, num_bytes


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


CONTENT = {
    "pytorch-lightning_version": "2.6.0",
    "state_dict": {f"layer{i}": torch.arange(10.0 + i) for i in range(3)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4)}}}],
    "epoch": 3,
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_a_checkpoint_is_replaced_when_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plugin = tmp_path / "checkpoints" / "last.ckpt", SafeCheckpointIO()
    plugin.save_checkpoint(CONTENT, path)

    def fill_the_disk(content: object, file: IO[bytes]) -> None:
        assert Path(file.name).parent == path.parent, "a rename must not cross file systems"
        file.write(bytes(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(WriteError, match=r"last\.ckpt cannot be written: .* are missing"):
        plugin.save_checkpoint({**CONTENT, "epoch": 4}, path)
    assert same(plugin.load_checkpoint(path), CONTENT)
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    """Bits of the padding between records are in no checksum and of no consequence."""
    path, plugin = tmp_path / "a.ckpt", SafeCheckpointIO()
    plugin.save_checkpoint(CONTENT, path)
    data = bytearray(path.read_bytes())
    refused = 0
    for position in range(0, len(data), 3):
        bit = 1 << position % 8
        data[position] ^= bit
        path.write_bytes(data)
        try:
            assert same(plugin.load_checkpoint(path), CONTENT), position
        except ValueError:
            refused += 1
        data[position] ^= bit
    assert refused > len(data) / 3 / 2


def test_the_size_of_a_checkpoint_counts_each_storage_once() -> None:
    weight = torch.zeros(10, 10)
    content = {"a": weight, "b": [weight[0], {"c": torch.zeros(3, dtype=torch.int8)}], "d": "text"}
    assert num_bytes(content) == 400 + 3
