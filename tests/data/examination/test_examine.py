"""Datasets are examined: good ones give no finding, and what was counted is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.part_masks import PartMasks
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.examination.examine import BOTH, QUICK, Examination, examine
from tests.data.checks import worlds
from tests.data.checks.test_faults import LOAD, WRITE

KINDS = [kind for kind in WRITE if kind not in ("keypoints", "classes")]


def texts(found: Examination) -> list[str]:
    return [str(finding) for findings in found.findings.values() for finding in findings]


@pytest.mark.parametrize("kind", KINDS)
def test_good_data_give_no_finding(tmp_path: Path, kind: str) -> None:
    WRITE[kind](tmp_path / "w")
    dataset = LOAD[kind](tmp_path / "w")
    assert isinstance(dataset, Dataset)
    found = examine({"train": dataset}, budget=QUICK)
    assert texts(found) == []
    assert found.statistics["train"].num_read == worlds.NUM


def test_rendered_people_give_no_finding() -> None:
    sets = {
        split: SyntheticPeople(
            num_scenes=num,
            image_size=(128, 96),
            split=split,
            fields=["keypoints", "labels", "depth", "normal"],
            cache=False,
        )
        for split, num in (("train", 12), ("val", 6))
    }
    found = examine(sets)
    assert texts(found) == []
    counted = found.statistics["train"]
    assert counted.num_people == counted.num_maps == 12
    assert sum(counted.class_pixels.values()) == 12 * 128 * 96
    assert 0.2 < counted.depth_ranges.min() < counted.depth_ranges.max() < 30  # meters


def test_people_are_counted(tmp_path: Path) -> None:
    worlds.write_people(tmp_path / "p")
    dataset = CocoPose(tmp_path / "p", split="train", skeleton="coco17", val_fraction=None)
    found = examine({"train": dataset, "val": dataset})
    assert found.findings[BOTH] == []  # the same files are named when a run starts
    counted = found.statistics["train"]
    assert counted.labeled == counted.visible == dict.fromkeys(dataset.skeleton.keypoints, 10)
    assert counted.image_sizes.tolist() == [list(worlds.PERSON)] * 10
    boxes = np.array([worlds.person(i)["bbox"] for i in range(10)])
    np.testing.assert_allclose(counted.box_sizes, boxes[:, [3, 2]], atol=0.01)
    assert (
        found.coverage()[0] == "train: 10 samples, annotations of 10 people, 10 of 10 images read"
    )


def test_classes_are_counted(tmp_path: Path) -> None:
    worlds.write_maps(tmp_path / "m", "labels")
    dataset = PartMasks(
        tmp_path / "m", split="train", parts=str(tmp_path / "m/parts.yaml"), val_fraction=None
    )
    counted = examine({"train": dataset}).statistics["train"]
    expected = np.bincount(np.concatenate([worlds.labels_of(i).ravel() for i in range(10)]))
    assert list(counted.class_pixels.values()) == expected.tolist()
    assert list(counted.class_pixels) == ["background", "trousers", "shirt", "head"]
