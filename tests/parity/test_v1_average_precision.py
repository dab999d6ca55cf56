"""OKS AP of random people, crowds and duplicates against recordings of the official metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks
from sapiens_lab.metrics.pose import OksAP

LISTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
# The recordings' order of the whole-body parts; the last row is of all keypoints.
PREFIXES = ("body/", "foot/", "face/", "left_hand/", "right_hand/", "")
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


@pytest.mark.parametrize("name", SETS)
def test_average_precision_of_random_people(name: str, shared: Path) -> None:
    recording = json.loads((shared / f"goldens/ap_fuzz/{name}.json").read_text())
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
