"""Everything that is planted by ``smells.py`` is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sapiens_lab.data.checks.finding import Finding, recorded
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.depth_maps import DepthMaps
from sapiens_lab.data.datasets.normal_maps import NormalMaps
from sapiens_lab.data.datasets.part_masks import PartMasks
from sapiens_lab.data.discovery.splits import Split
from sapiens_lab.data.examination.examine import Budget, examine
from tests.data.examination import smells

SPLITS: tuple[Split, ...] = ("train", "val")
LOAD: dict[str, Callable[[Path, Split], Dataset]] = {
    "labels": lambda root, split: PartMasks(root, split=split, parts=str(root / "parts.yaml")),
    "depths": lambda root, split: DepthMaps(root, split=split, kind="metric"),
    "normals": lambda root, split: NormalMaps(root, split=split),
    "people": lambda root, split: CocoPose(root, split=split, skeleton="coco17", val_fraction=None),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for kind in ("labels", "depths", "normals"):
        smells.write_maps(folder / kind, kind)
    smells.write_people(folder / "people")
    return folder


def found_in(root: Path, kind: str) -> list[Finding]:
    """Return what datasets report themselves and what is found in them together."""
    budget = Budget(seconds=20, images=0 if kind == "people" else 100, maps=100)
    with recorded() as reported:
        try:
            datasets = {split: LOAD[kind](root, split) for split in SPLITS}
        except ValueError:
            return [settled.finding for settled in reported]
    found = examine(datasets, budget=budget)
    findings = [finding for some in found.findings.values() for finding in some]
    return [*findings, *(settled.finding for settled in reported)]


@pytest.mark.parametrize("kind", list(LOAD))
def test_good_data_do_not_smell(good: Path, kind: str) -> None:
    assert [str(finding) for finding in found_in(good / kind, kind)] == []


@pytest.mark.parametrize(
    "smell", smells.all_smells(), ids=lambda smell: f"{smell.kind}: {smell.name}"
)
def test_smells_are_named(good: Path, tmp_path: Path, smell: smells.Smell) -> None:
    shutil.copytree(good / smell.kind, tmp_path / "w")
    smell.plant(tmp_path / "w")
    found = found_in(tmp_path / "w", smell.kind)
    texts = [str(finding) for finding in found]
    assert any(re.search(smell.said, text, re.DOTALL) for text in texts), texts
    assert all(finding.remedy or finding.items for finding in found)
