"""The command ``sapiens shards``, and training from what it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sapiens_lab.data.datasets.image_folder import ImageFolder
from sapiens_lab.data.datasets.image_shards import ImageShards
from sapiens_lab.data.shards import pack
from tests.command import Commands, status
from tests.conftest import ROOT

TRAIN = (
    "experiment=pretrain/folder", "data=image_shards", "data.root=../shards", "backbone=tiny",
    "trainer=cpu", "trainer.max_epochs=2", "trainer.log_every_n_steps=1", "image_size=[32,32]",
    "model.decoder_dim=24", "model.decoder_layers=1", "model.decoder_heads=2", "data.batch_size=4",
    "data.num_workers=1",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / "images" / f"day{i % 3}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (48, 40, 3)).astype(np.uint8))
    return tmp_path / "images"


@pytest.fixture
def shards(tree: Path) -> Path:
    out = tree.parent / "shards"
    assert status("shards", "make", str(tree), "--out", str(out), "--shard-mb", "0.015") == 0
    return out


def contents(folder: Path, split: str) -> dict[str, bytes]:
    data = ImageShards(folder, split=split)  # type: ignore[arg-type]
    found = {}
    for i in range(len(data)):
        sample = data[i]
        found[sample.meta.path.split(".tar/")[1]] = sample.image.content  # type: ignore[union-attr]
    return found


def test_the_archives_hold_the_tree_byte_by_byte(tree: Path, shards: Path) -> None:
    assert len(list(shards.glob("train-*.tar"))) > 2
    for split in ("train", "val"):
        names = ImageFolder(tree, split=split).names  # type: ignore[arg-type]
        assert contents(shards, split) == {name: (tree / name).read_bytes() for name in names}


def test_check_finds_no_fault_and_names_every_fault(
    shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("shards", "check", str(shards)) == 0
    assert "20 images" in capsys.readouterr().out
    first, second = sorted(shards.glob("train-*.tar"))[:2]
    data = bytearray(first.read_bytes())
    data[512:600] = bytes(88)  # the head of its first image
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:3000])
    assert status("shards", "check", str(shards)) == 1
    said = capsys.readouterr().out
    assert f"{first}/day" in said
    assert "not an image" in said
    assert str(second) in said
    assert "2 faults" in said


def test_damaged_images_are_left_out_and_listed(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tree / "day0/003.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    out = tree.parent / "shards"
    assert status("shards", "make", str(tree), "--out", str(out)) == 0
    said = capsys.readouterr().out
    assert "left out" in said
    assert "1 of them cannot be decoded" in said
    assert str(broken) in (out / "faulty.txt").read_text()
    assert "day0/003.jpg" not in contents(out, "train") | contents(out, "val")


def test_a_stopped_command_goes_on_and_ends_the_same(
    tree: Path, shards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tree.parent / "again"
    words = ["make", str(tree), "--out", str(again), "--shard-mb", "0.015", "--workers", "1"]
    checked = pack._checked
    calls = 0

    def stop(path: Path) -> tuple[bytes, str | None]:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        return checked(path)

    monkeypatch.setattr(pack, "_checked", stop)
    assert status("shards", *words) == 130
    assert 0 < len(list(again.glob("*.tar"))) < len(list(shards.glob("*.tar")))
    monkeypatch.setattr(pack, "_checked", checked)
    assert status("shards", *words) == 0
    assert "there already" in capsys.readouterr().out
    for path in shards.glob("*.tar"):
        assert (again / path.name).read_bytes() == path.read_bytes()
    assert not list(again.glob("*.part"))


def test_other_images_or_files_in_the_folder_are_never_mixed(
    tree: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tree / "new.png"), np.zeros((8, 8, 3), np.uint8))
    words = ["make", str(tree), "--shard-mb", "0.015", "--out"]
    assert status("shards", *words, str(shards)) == 1
    assert "begun with another num_images, checksum" in capsys.readouterr().err
    mine = tree.parent / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert status("shards", *words, str(mine)) == 1
    assert "give another --out" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    plan = json.loads((shards / "shards.json").read_text())
    assert plan["num_images"] == 20


def test_a_killed_run_on_shards_ends_with_the_weights_of_an_undisturbed_one(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cwd = tmp_path / "work"
    cwd.mkdir()
    commands = Commands(monkeypatch, cwd)
    commands.train(*TRAIN, tiny=False)
    words = ["experiment_name=cut", "+callbacks.cut._target_=tests.interrupt.Kill"]
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *TRAIN, *words, "+callbacks.cut.step=6"],
        cwd=cwd, capture_output=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()[-2000:]
    [cut] = commands.runs("cut")
    commands.train(f"resume={cut}/checkpoints/last.ckpt", "~callbacks.cut", tiny=False)
    whole = commands.runs("pretrain/folder")[0]
    a, b = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (whole, cut)
    )
    for name in a:
        torch.testing.assert_close(b[name], a[name], msg=name)


def test_a_folder_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["make", "nowhere", "--out", "x"], ["check", "nowhere"]):
        assert status("shards", *words) == 2
        assert "nowhere is not a folder" in capsys.readouterr().err


def test_images_and_shards_of_them_are_the_same_data(tree: Path, shards: Path) -> None:
    """Only the order differs: the same images in both, at the same size."""
    folder = ImageFolder(tree, split="val")
    packed = ImageShards(shards, split="val")
    assert len(folder) == len(packed)
    assert {folder[i].image.size for i in range(len(folder))} == {(48, 40)}
    assert {packed[i].image.size for i in range(len(packed))} == {(48, 40)}
