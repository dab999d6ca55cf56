"""OKS AP of random people, crowds and duplicates against recordings of the official metrics."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks
from sapiens_lab.metrics.pose import OksAP
from tests.parity.conftest import RECORDINGS

LISTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
# The recordings' order of the whole-body parts; the last row is of all keypoints.
PREFIXES = ("body/", "foot/", "face/", "left_hand/", "right_hand/", "")
# A copy of some sets lies beside the tests; the others are tested where the full folder is at hand.
RECORDED = json.loads(gzip.decompress((RECORDINGS / "ap.json.gz").read_bytes()))
SETS = [f"{K}_{i:02d}" for K in (17, 133) for i in range(0, 26, 2)]


def evaluated(recording: dict[str, Any]) -> OksAP:
    """Show the metric a recording's people."""
    K = recording["num_keypoints"]
    skeleton = Skeleton.load({17: "coco17", 133: "wholebody133"}[K])
    metric = OksAP(skeleton)
    for person in recording["ground_truth"]["annotations"]:
        person["keypoints"] = [v for key in LISTS for v in person.get(key, [])]
    metric.set_ground_truth(recording["ground_truth"])
    detections = recording["detections"]
    metric.update(
        image_ids=torch.tensor([d["img_id"] for d in detections]),
        ids=torch.arange(len(detections)),  # duplicates are people of their own
        keypoints=torch.tensor([d["keypoints"] for d in detections], dtype=torch.float64),
        scores=torch.tensor([d["scores"] for d in detections], dtype=torch.float64),
        box_scores=torch.tensor([d["bbox_score"] for d in detections], dtype=torch.float64),
        box_areas=torch.tensor([d["area"] for d in detections], dtype=torch.float64),
    )
    return metric


def assert_equals_the_official_metric(recording: dict[str, Any]) -> None:
    metric = evaluated(recording)
    ours = metric.compute()
    prefixes = PREFIXES if recording["num_keypoints"] == 133 else ("",)
    for prefix, row in zip(prefixes, recording["stats"], strict=True):
        for metric_name, expected in zip(oks.NAMES, row, strict=True):
            key = prefix + metric_name
            if expected == -1:
                assert key in metric.undefined, key
                assert key not in ours, key
            else:
                assert ours[key] == pytest.approx(expected, abs=1e-6), key


@pytest.mark.parametrize("name", RECORDED)
def test_average_precision_of_random_people(name: str) -> None:
    assert_equals_the_official_metric(RECORDED[name])


@pytest.mark.parametrize("name", sorted(set(SETS) - set(RECORDED)))
def test_average_precision_of_more_random_people(name: str, shared: Path) -> None:
    file = shared / f"goldens/ap_fuzz/{name}.json"
    assert_equals_the_official_metric(json.loads(file.read_text()))


def recorded_evaluation(shared: Path, name: str) -> tuple[dict[str, Any], list[Any], Any]:
    """Return ground truth, detections and the recorded metrics of people of COCO.

    They are tested where the full folder is at hand: COCO's annotations are not ours to pass on.
    """
    folder = shared / "goldens/pose_and_metrics"
    file = {"coco17": "test_coco.json", "wholebody133": "test_coco_wholebody.json"}[name]
    truth = json.loads((shared / "data/coco_tiny" / file).read_text())
    if name == "wholebody133":
        for person in truth["annotations"]:
            person["keypoints"] = [n for key in LISTS for n in person[key]]
    detections = json.loads((folder / f"{name}_detections.json").read_text())
    numbers = json.loads((folder / "metrics.json").read_text())[name]
    return truth, detections, numbers


def assert_equals(numbers: dict[str, float], undefined: dict[str, str], recorded: Any) -> None:
    """Compare ten numbers; those recorded as -1 must be undefined."""
    assert len(recorded) == len(oks.NAMES)
    for name, expected in recorded.items():
        ours = name.replace("PM", "P_M").replace("PL", "P_L").replace("RM", "R_M")
        ours = ours.replace("RL", "R_L")
        if expected == -1:
            assert ours in undefined
            assert ours not in numbers
        else:
            assert numbers[ours] == pytest.approx(expected, abs=1e-6)


def test_average_precision_17(shared: Path) -> None:
    truth, detections, recorded = recorded_evaluation(shared, "coco17")
    assert_equals(
        *oks.average_precision(truth, detections, Skeleton.load("coco17").sigmas), recorded
    )


def test_average_precision_133_by_part(shared: Path) -> None:
    truth, detections, recorded = recorded_evaluation(shared, "wholebody133")
    skeleton = Skeleton.load("wholebody133")
    total = oks.average_precision(truth, detections, skeleton.sigmas)
    assert_equals(*total, recorded.pop("wholebody"))
    assert len(skeleton.parts) == len(recorded)
    for part, members in skeleton.parts.items():
        result = oks.average_precision(
            truth, detections, skeleton.sigmas, keypoints=members, part=part
        )
        assert_equals(*result, recorded[part.replace("_", "")])


def test_the_metric_gives_the_recorded_numbers(shared: Path) -> None:
    """The same through ``OksAP``, people being neither scored again nor suppressed.

    The record sizes unmatched people by their boxes where the metric does so by their keypoints;
    that enters the numbers by size only.
    """
    truth, detections, recorded = recorded_evaluation(shared, "wholebody133")
    metric = OksAP("wholebody133", nms_threshold=1.0)
    metric.set_ground_truth(truth)
    points = np.array([d["keypoints"] for d in detections]).reshape(-1, 133, 3)
    metric.update(
        image_ids=torch.tensor([d["image_id"] for d in detections]),
        ids=torch.arange(len(detections)),
        keypoints=torch.from_numpy(points[..., :2]),
        scores=torch.ones(len(detections), 133),
        box_scores=torch.tensor([d["score"] for d in detections], dtype=torch.float64),
        box_areas=torch.ones(len(detections)),
    )
    numbers = metric.compute()
    prefixes = {"wholebody": "", "lefthand": "left_hand/", "righthand": "right_hand/"}
    for part, values in recorded.items():
        for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75"):
            ours = numbers[prefixes.get(part, f"{part}/") + name]
            assert ours == pytest.approx(values[name], abs=1e-6)
    assert "face/AP_M" in metric.undefined
