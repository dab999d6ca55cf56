"""Planted faults are named before the first step; good data give no finding."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks import finding
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.coco_parts import CocoParts
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.depth_maps import DepthMaps
from sapiens_lab.data.datasets.image_folder import ImageFolder
from sapiens_lab.data.datasets.image_shards import ImageShards
from sapiens_lab.data.datasets.normal_maps import NormalMaps
from sapiens_lab.data.datasets.part_masks import PartMasks
from tests.data.checks import faults, worlds

WANTED = 0.95  # of the faults that must be named

WRITE: dict[str, Callable[[Path], object]] = {
    "people": worlds.write_people,
    "regions": worlds.write_regions,
    "labels": lambda root: worlds.write_maps(root, "labels"),
    "depths": lambda root: worlds.write_maps(root, "depths"),
    "normals": lambda root: worlds.write_maps(root, "normals"),
    "images": worlds.write_images,
    "shards": worlds.write_shards,
    "keypoints": lambda root: root.mkdir(),
    "classes": lambda root: root.mkdir(),
}
LOAD: dict[str, Callable[[Path], object]] = {
    "people": lambda root: CocoPose(root, split="train", skeleton="coco17", val_fraction=None),
    "regions": lambda root: CocoParts(root, split="train", val_fraction=None),
    "labels": lambda root: PartMasks(
        root, split="train", parts=str(root / "parts.yaml"), val_fraction=None
    ),
    "depths": lambda root: DepthMaps(root, split="train", kind="metric", val_fraction=None),
    "normals": lambda root: NormalMaps(root, split="train", val_fraction=None),
    "images": lambda root: ImageFolder(root, split="train", val_fraction=None),
    "shards": lambda root: ImageShards(root, split="train", val_fraction=None),
    "keypoints": lambda root: Skeleton.load(root / "list.yaml"),
    "classes": lambda root: Parts.load(root / "list.yaml"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good dataset of every kind."""
    folder = tmp_path_factory.mktemp("good")
    for kind, write in WRITE.items():
        write(folder / kind)
    return {kind: folder / kind for kind in WRITE}


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are logged once in a process, which is many runs here."""
    monkeypatch.setattr(finding, "_logged", set())


@pytest.mark.parametrize("kind", [kind for kind in WRITE if kind not in ("keypoints", "classes")])
def test_good_data_give_no_finding(
    good: dict[str, Path], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = LOAD[kind](good[kind])
    assert isinstance(dataset, Dataset)
    assert len(dataset) == worlds.NUM
    assert [record.getMessage() for record in caplog.records if record.levelno > 20] == []


def answer(fault: faults.Fault, good: Path, root: Path, log: pytest.LogCaptureFixture) -> str:
    """Return how a planted fault is answered: ``named``, or what is wrong with the answer."""
    shutil.copytree(good, root, ignore=shutil.ignore_patterns("*.index.npy"))
    fault.plant(root)
    log.clear()
    text, error = "", None
    try:
        LOAD[fault.kind](root)
    except (ValueError, FileNotFoundError) as caught:
        text, error = str(caught), caught
    except Exception as caught:  # what must not happen
        return f"traceback: {type(caught).__name__}: {caught}"
    if error is None:
        warnings = [r for r in log.records if r.levelno >= logging.WARNING]
        text = "\n".join(record.getMessage() for record in warnings)
    if not text:
        return "silent"
    names = {path.name for path in root.rglob("*")} | {root.name}
    return "named" if any(name in text for name in names) else f"without a name: {text}"


def test_planted_faults_are_named(
    good: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planted = faults.all_faults()
    assert len(planted) >= 200
    answers = {
        f"{fault.kind}: {fault.name}": answer(fault, good[fault.kind], tmp_path / f"f{i}", caplog)
        for i, fault in enumerate(planted)
    }
    missed = {name: text for name, text in answers.items() if text != "named"}
    print(f"{len(planted) - len(missed)} of {len(planted)} planted faults are named")
    for name, text in missed.items():
        print(f"  {name}: {text[:200]}")
    assert not [name for name, text in missed.items() if text.startswith("traceback")]
    assert len(missed) <= (1 - WANTED) * len(planted)


def test_what_is_settled_is_recorded_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    warning = finding.Finding(severity="warning", what="1 of 2 boxes is loose")
    fault = finding.Finding(severity="error", what="2 boxes are none")
    with finding.recorded() as found:
        finding.settle([warning, None], source="a.json")
        with pytest.raises(ValueError, match="none"):
            finding.settle([fault], source="b.json")
    assert found == [("a.json", warning), ("b.json", fault)]
    assert not caplog.records
    finding.settle([warning], source="recorded, then logged.json")
    assert len(found) == 2
    assert len(caplog.records) == 1
