"""Data are examined before a run, once for every state of them."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.data.checks import finding
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.normal_maps import NormalMaps
from sapiens_lab.data.datasets.part_masks import PartMasks
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.examination import examine as examining
from sapiens_lab.data.examination.before_fit import examine_before_fit
from sapiens_lab.data.examination.remember import fingerprint
from tests.command import status
from tests.data.checks import faults
from tests.data.examination import smells


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(finding, "_logged", set())
    return tmp_path / "cache" / "examined"


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The datasets that were really examined."""
    calls: list[Any] = []
    real = examining.examine
    monkeypatch.setattr(
        examining, "examine", lambda sets, **k: calls.append(sets) or real(sets, **k)
    )
    return calls


def labels(root: Path, parts: str = "parts.yaml") -> dict[str, Dataset]:
    parts = str(root / parts)
    return {split: PartMasks(root, split=split, parts=parts) for split in smells.NUM}  # type: ignore[arg-type]


def run(datasets: dict[str, Dataset], **changes: Any) -> None:
    arguments = {"mode": "quick", "settings": {"val_fraction": 0.1}, "on_error": "raise"}
    examine_before_fit(datasets, **{**arguments, **changes})


def test_what_was_found_is_remembered(
    tmp_path: Path, examined: list[Any], own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    smells.write_maps(tmp_path / "w", "labels")
    smells.copied(smells.again, into="val")(tmp_path / "w")
    caplog.set_level(logging.INFO)
    datasets = labels(tmp_path / "w")
    said = "2 of 8 validation images looked into are nearly a training image's twin"
    for time in range(2):
        caplog.clear()
        finding._logged.clear()
        run(datasets)
        assert said in caplog.text
        assert ("looked at train: 24 samples, 24 of 24 images" in caplog.text) == (time == 0)
    assert len(examined) == 1
    assert len(list(own_cache.iterdir())) == 1
    run(datasets, mode="off")
    assert len(examined) == 1


def test_it_is_examined_again_when_something_changed(
    tmp_path: Path, examined: list[Any], own_cache: Path
) -> None:
    smells.write_maps(tmp_path / "w", "labels")
    datasets = labels(tmp_path / "w")
    keys = [fingerprint(datasets, {})]
    keys.append(fingerprint(datasets, {"val_fraction": 0.2}))
    for folder in ("images", "labels"):
        os.utime(sorted((tmp_path / "w" / folder / "val").iterdir())[3], (1, 1))
        keys.append(fingerprint(datasets, {}))
    (tmp_path / "w/others.yaml").write_text(
        "name: x\nclasses: [background, trousers, shirt, face]\n"
    )
    keys.append(fingerprint(labels(tmp_path / "w", "others.yaml"), {}))
    assert len(set(keys)) == len(keys) == 5
    run(datasets)
    remembered = next(own_cache.iterdir())
    for content in ("", "[1]", json.dumps({"findings": {"val": [{"severity": "x"}]}})):
        remembered.write_text(content)  # damaged: found again
        run(datasets)
    assert len(examined) == 4


def test_an_error_ends_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    smells.write_maps(tmp_path / "w", "normals")
    folder = tmp_path / "w/normals/train"
    paths = sorted(folder.iterdir())
    datasets: dict[str, Dataset] = {
        split: NormalMaps(tmp_path / "w", split=split)  # type: ignore[arg-type]
        for split in smells.NUM
    }
    for path in paths[:3]:  # since they were built
        faults.array(faults.NORMALS["of OpenGL"])(path)
    with pytest.raises(ValueError, match=r"(?s)maps are in another frame.*cam1.*doctor=off"):
        run(datasets)


def test_unreadable_files_can_be_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    smells.write_maps(tmp_path / "w", "labels")
    datasets = labels(tmp_path / "w")
    faults.cut(sorted((tmp_path / "w/images/train").iterdir())[7], 0.5)
    with pytest.raises(ValueError, match=r"train: 1 of 24 files .* are faulty"):
        run(datasets)
    run(datasets, on_error="skip")
    with pytest.raises(ValueError, match="train: 1 of 24 files"):  # though it has been logged
        run(datasets)
    assert "1 of 24 files" in caplog.text
    assert "left out" in caplog.text


def test_what_a_dataset_reported_is_not_said_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    smells.write_maps(tmp_path / "w", "labels")
    smells.of_camera("labels", faults.array(faults.LABELS["softened"]))(tmp_path / "w")
    run(labels(tmp_path / "w"))
    assert caplog.text.count("label maps change from id to id") == 1


def test_rendered_people_are_not_examined(examined: list[Any], own_cache: Path) -> None:
    people = SyntheticPeople(num_scenes=2, image_size=(64, 48), cache=False)
    run({"train": people, "val": people})
    assert not examined
    assert not own_cache.exists()


def test_a_cache_that_cannot_be_written_does_no_harm(
    tmp_path: Path, own_cache: Path, examined: list[Any]
) -> None:
    own_cache.parent.mkdir(parents=True, exist_ok=True)
    own_cache.write_text("a file")
    smells.write_maps(tmp_path / "w", "labels")
    run(labels(tmp_path / "w"))
    assert len(examined) == 1


def test_a_run_says_it_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    smells.write_maps(tmp_path / "w", "labels")
    smells.copied(smells.again, into="val")(tmp_path / "w")
    monkeypatch.chdir(tmp_path)
    words = (
        "experiment=segmentation/goliath28",
        "parts=w/parts.yaml",
        "data.root=w",
        "backbone=tiny",
    )
    said = "doctor=quick: train and val: 2 of 8 validation images looked into are nearly"
    for mode in ("quick", "off"):
        # What follows the data is refused, which ends the run before it has begun.
        assert status("train", *words, f"doctor={mode}", "weights=none.safetensors") == 1
        printed = capfd.readouterr()
        assert (said in printed.out) == (mode == "quick")
        assert "none.safetensors" in printed.err
    assert status("train", *words, "doctor=of") == 1
    assert "doctor=of: must be off or quick or full" in capfd.readouterr().err
