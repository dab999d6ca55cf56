from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks
from sapiens_lab.metrics.pose import NME, PCK, OksAP

SKELETON = Skeleton.load("coco17")


def made_people(num: int = 6, area: float = 2500.0) -> dict[str, Any]:
    """Two people a picture, all keypoints labelled."""
    rng = np.random.default_rng(0)
    annotations = []
    for i in range(num):
        xy = rng.uniform(0, 50, (17, 2)) + 60 * (i % 2)
        annotations.append(
            {
                "id": i + 1,
                "image_id": i // 2,
                "category_id": 1,
                "keypoints": np.column_stack([xy, np.full(17, 2)]).ravel().tolist(),
                "num_keypoints": 17,
                "area": area,
                "bbox": [0.0, 0.0, 50.0, 50.0],
                "iscrowd": 0,
            }
        )
    return {
        "images": [{"id": i} for i in range((num + 1) // 2)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }


def predict(truth: dict[str, Any], noise: float = 0.0) -> dict[str, torch.Tensor]:
    rows = truth["annotations"]
    keypoints = np.array([a["keypoints"] for a in rows]).reshape(len(rows), 17, 3)[..., :2]
    keypoints = keypoints + np.random.default_rng(1).normal(0, noise, keypoints.shape)
    return {
        "image_ids": torch.tensor([a["image_id"] for a in rows]),
        "ids": torch.tensor([a["id"] for a in rows]),
        "keypoints": torch.tensor(keypoints),
        "scores": torch.full((len(rows), 17), 0.9),
        "box_scores": torch.ones(len(rows)),
        "box_areas": torch.full((len(rows),), 2500.0),
    }


def score(truth: dict[str, Any], **columns: torch.Tensor) -> tuple[dict[str, float], OksAP]:
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth)
    metric.update(**columns)
    return metric.compute(), metric


def test_a_perfect_prediction_scores_one() -> None:
    truth = made_people()
    numbers, metric = score(truth, **predict(truth))
    assert numbers["AP"] == pytest.approx(1)
    assert numbers["AR_M"] == pytest.approx(1)
    assert "AP_L" not in numbers
    assert "large" in metric.undefined["AP_L"]


def test_a_missed_person_costs_recall() -> None:
    truth = made_people(4)
    columns = {name: value[:3] for name, value in predict(truth).items()}
    numbers, _ = score(truth, **columns)
    assert numbers["AR"] == pytest.approx(0.75)


def test_repeated_and_duplicate_people_are_counted_once() -> None:
    truth = made_people()
    columns = predict(truth)
    twice = {name: torch.cat([value, value]) for name, value in columns.items()}
    assert score(truth, **twice)[0] == score(truth, **columns)[0]
    twice["ids"] = torch.arange(len(twice["ids"]))  # another box found the same people again
    assert score(truth, **twice)[0] == score(truth, **columns)[0]


def test_only_seen_pictures_count_in_a_trial_run() -> None:
    truth = made_people()
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth, only_seen=True)
    metric.update(**{name: value[:2] for name, value in predict(truth).items()})
    assert metric.compute()["AR"] == pytest.approx(1)


def test_people_of_another_skeleton_are_refused() -> None:
    with pytest.raises(ValueError, match=r"17 keypoints.*133"):
        OksAP("wholebody133").set_ground_truth(made_people())
    with pytest.raises(ValueError, match="no annotated person"):
        OksAP(SKELETON).set_ground_truth({**made_people(), "annotations": []})


def test_unsure_keypoints_do_not_enter_the_score() -> None:
    truth = made_people(1)
    columns = predict(truth)
    columns["scores"][:, :16] = 0.1
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth)
    metric.update(**columns)
    assert metric._people()[0]["score"] == pytest.approx(0.9)


def test_equals_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth = made_people(40)
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth)
    metric.update(**predict(truth, noise=4.0))
    reference = coco.COCO()
    reference.dataset = truth
    reference.createIndex()
    evaluation = cocoeval.COCOeval(reference, reference.loadRes(metric._people()), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    numbers = metric.compute()
    assert 0.1 < numbers["AP"] < 0.99
    for name, expected in zip(oks.NAMES, evaluation.stats, strict=True):
        assert numbers.get(name, -1) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["coco17", "wholebody133"])
def test_equals_the_recorded_numbers(shared: Path, name: str) -> None:
    folder = shared / "goldens" / "pose_and_metrics"
    recorded = json.loads((folder / "metrics.json").read_text())[name]
    detections = json.loads((folder / f"{name}_detections.json").read_text())
    file = {"coco17": "test_coco.json", "wholebody133": "test_coco_wholebody.json"}[name]
    truth = json.loads((shared / "data" / "coco_tiny" / file).read_text())
    skeleton = Skeleton.load(name)
    if name == "coco17":
        selections: dict[str, tuple[int, ...] | None] = {"": None}
        recorded = {"": recorded}
    else:
        selections = {**skeleton.parts, "wholebody": None}
        for a in truth["annotations"]:
            for more in ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
                a["keypoints"] = a["keypoints"] + a[more]
    for part, members in selections.items():
        numbers, undefined = oks.average_precision(
            truth,
            detections,
            skeleton.sigmas,
            keypoints=members,
            part=part if members else None,
        )
        for theirs, value in recorded[part.replace("_", "")].items():
            ours = theirs.replace("RM", "R_M").replace("PM", "P_M")
            ours = ours.replace("RL", "R_L").replace("PL", "P_L")
            if value == -1:
                assert ours in undefined
            else:
                assert numbers[ours] == pytest.approx(value, abs=1e-6)


def test_pck_and_nme_by_hand() -> None:
    target = torch.zeros(1, 4, 2)
    preds = torch.tensor([[[0.0, 0], [3, 4], [0, 11], [100, 100]]])
    visible = torch.tensor([[2, 1, 2, 0]])
    scale = torch.tensor([50.0])
    pck, nme = PCK(threshold=0.1), NME()
    for metric in (pck, nme):
        metric.update(preds, target, visible, scale)
    assert pck.compute()["PCK"] == pytest.approx(2 / 3)  # distances 0, 5 and 11 of 50
    assert nme.compute()["NME"] == pytest.approx((0 + 0.1 + 0.22) / 3)


def test_without_labels_the_reason_is_given() -> None:
    for metric, name in ((PCK(), "PCK"), (NME(), "NME")):
        metric.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2), torch.ones(1))
        assert metric.compute() == {}
        assert "labelled" in metric.undefined[name]
