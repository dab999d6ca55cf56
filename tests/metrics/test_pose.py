from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.metrics import oks
from sapiens_lab.metrics.pose import NME, PCK, OksAP

SKELETON = Skeleton.load("coco17")


def made_people(num: int = 6, area: float = 2500.0) -> dict[str, Any]:
    """Two people an image, all keypoints labeled."""
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


def test_images_that_could_not_be_read_do_not_count() -> None:
    truth = made_people(4)
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth)
    for left_out, expected in (([truth["annotations"][3]["image_id"]], 1.0), ([], 0.75)):
        metric.update(**{name: value[:3] for name, value in predict(truth).items()})
        metric.leave_out(left_out)
        assert metric.compute()["AR"] == pytest.approx(expected)
        metric.reset()


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


def test_only_seen_images_count_in_a_trial_run() -> None:
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
    unlabeled = made_people(1)
    unlabeled["annotations"][0]["keypoints"] = [0] * 51
    with pytest.raises(ValueError, match="no annotated person"):
        OksAP(SKELETON).set_ground_truth(unlabeled)


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
    truth = made_people(60)
    rng = np.random.default_rng(2)
    for i, person in enumerate(truth["annotations"]):
        person["area"] = float(rng.uniform(500, 20000))
        person["iscrowd"] = int(i % 13 == 0)
        points = np.array(person["keypoints"]).reshape(17, 3)
        points[rng.random(17) < (1 if i % 11 == 0 else 0.3), 2] = 0
        person["keypoints"] = points.ravel().tolist()
        person["num_keypoints"] = int((points[:, 2] > 0).sum())
    columns = {name: value[5:] for name, value in predict(truth, noise=4.0).items()}
    columns["image_ids"][::7] += 1  # people where nobody is
    columns["scores"] = torch.tensor(rng.random((55, 17)))
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth)
    metric.update(**columns)
    numbers = metric.compute()
    reference = coco.COCO()
    reference.dataset = truth
    reference.createIndex()
    evaluation = cocoeval.COCOeval(reference, reference.loadRes(metric._people()), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0.1 < numbers["AP_M"] < 0.99
    for name, expected in zip(oks.NAMES, evaluation.stats, strict=True):
        assert numbers[name] == pytest.approx(expected, abs=1e-9)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    truth = made_people()
    score(truth, **predict(truth))
    assert capsys.readouterr() == ("", "")


def test_numbers_by_which_people_and_categories_are_called_do_not_matter() -> None:
    truth = made_people()
    columns = predict(truth, noise=4.0)
    before, _ = score(truth, **columns)
    for person in truth["annotations"]:
        person["id"] -= 1  # 0 means "nobody" to COCO's evaluation
        person["category_id"] = 5
    assert score(truth, **columns)[0] == before


def test_the_ground_truth_is_left_as_it_is() -> None:
    truth = made_people()
    before = copy.deepcopy(truth)
    score(truth, **predict(truth))
    assert truth == before


def test_without_predictions_nothing_is_found() -> None:
    truth = made_people()
    nobody = {name: value[:0] for name, value in predict(truth).items()}
    assert score(truth, **nobody)[0]["AP"] == 0
    metric = OksAP(SKELETON)
    metric.set_ground_truth(truth, only_seen=True)
    with pytest.warns(UserWarning, match="before the ``update``"):  # torchmetrics says so itself
        assert metric.compute() == {}
    assert set(metric.undefined) == set(oks.NAMES)


def test_a_prediction_of_an_unknown_image_is_refused() -> None:
    truth = made_people()
    columns = predict(truth)
    columns["image_ids"][0] = 77
    with pytest.raises(ValueError, match="77"):
        score(truth, **columns)
    metric = OksAP(SKELETON)
    metric.update(**columns)
    with pytest.raises(ValueError, match="set_ground_truth"):
        metric.compute()


def parted() -> Skeleton:
    """The 17 points as a face of 5 and a left hand of 2, which COCO-WholeBody flags."""
    parts = {"face": (0, 1, 2, 3, 4), "left_hand": (9, 7)}
    return dataclasses.replace(SKELETON, parts=parts)


def test_parts_are_measured_on_their_own_points() -> None:
    truth = made_people()
    columns = predict(truth)
    columns["keypoints"][:, :5] += 1000
    metric = OksAP(parted())
    metric.set_ground_truth(truth)
    metric.update(**columns)
    numbers = metric.compute()
    assert numbers["face/AP"] == 0
    assert numbers["left_hand/AP"] == pytest.approx(1)
    assert "medium" not in metric.undefined.get("face/AP_M", "")
    assert metric.undefined["face/AP_L"] == (
        "no annotated person of large area (from 96^2 px) with a labeled face keypoint"
    )


def test_a_part_that_nobody_vouches_for_is_not_labeled() -> None:
    truth = made_people()
    for person in truth["annotations"]:
        person["lefthand_valid"] = False
        person["face_valid"] = person["id"] == 1
    columns = predict(truth)
    columns["keypoints"][1:, :5] += 1000  # faces that do not count
    metric = OksAP(parted())
    metric.set_ground_truth(truth)
    metric.update(**columns)
    numbers = metric.compute()
    assert numbers["face/AR"] == pytest.approx(1)
    assert not any(name.startswith("left_hand/") for name in numbers)
    assert metric.undefined["left_hand/AP50"] == (
        "no annotated person with a labeled left_hand keypoint"
    )


def test_person_scores_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.2], [0.1, 0.2, 0.0]])
    total = oks.person_scores(scores, np.array([0.5, 1.0]), 0.2)
    np.testing.assert_allclose(total, [0.35, 0])


def test_nms_by_hand() -> None:
    """One keypoint, sigma 0.5, area 100: OKS is exp(-d^2 / 200)."""
    x = np.array([0.0, 3.0, 5.0, 9.0])  # OKS with the best, at 3: 0.956, -, 0.980, 0.835
    keypoints = np.stack([x, np.zeros(4)], -1)[:, None]
    areas, sigmas = np.full(4, 100.0), np.array([0.5])
    scores = np.array([0.5, 0.9, 0.8, 0.1])
    assert oks.nms(keypoints, scores, areas, sigmas, 0.9) == [1, 3]
    assert oks.nms(keypoints, scores, areas, sigmas, 0.97) == [1, 0, 3]
    assert oks.nms(keypoints, scores, areas, sigmas, 0.8) == [1]


def test_pck_and_nme_by_hand() -> None:
    target = torch.zeros(1, 4, 2)
    preds = torch.tensor([[[0.0, 0], [3, 4], [0, 11], [100, 100]]])
    visible = torch.tensor([[2, 1, 2, 0]])
    scale = torch.tensor([50.0])
    pck, nme = PCK(threshold=0.1), NME()
    for metric in (pck, nme):
        metric.update(preds, target, visible, scale)
    assert pck.compute()["PCK@0.1"] == pytest.approx(2 / 3)  # distances 0, 5 and 11 of 50
    assert nme.compute()["NME"] == pytest.approx((0 + 0.1 + 0.22) / 3)


def test_pck_of_every_keypoint() -> None:
    metric = PCK(threshold=0.1, skeleton=SKELETON)
    target = torch.zeros(2, 17, 2)
    preds = target.clone()
    preds[0, 0] = 30.0
    preds[:, 16] = 30.0
    visible = torch.ones(2, 17)
    visible[:, 5] = 0
    metric.update(preds, target, visible, torch.tensor([100.0, 100.0]))
    assert metric.compute()["PCK@0.1"] == pytest.approx(29 / 32)
    assert metric.per_keypoint["nose"] == 0.5
    assert metric.per_keypoint["right_ankle"] == 0
    assert "left_shoulder" not in metric.per_keypoint
    assert len(metric.per_keypoint) == 16


def test_a_person_without_size_does_not_count() -> None:
    target, scale = torch.zeros(2, 1, 2), torch.tensor([0.0, 10.0])
    for metric, expected in ((PCK(), {"PCK@0.1": 0}), (NME(), {"NME": 0.5})):
        metric.update(target + torch.tensor([3.0, 4.0]), target, torch.ones(2, 1), scale)
        assert metric.compute() == expected


def test_without_labels_the_reason_is_given() -> None:
    for metric, name in ((PCK(), "PCK@0.1"), (NME(), "NME")):
        metric.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2), torch.ones(1))
        assert metric.compute() == {}
        assert "labeled" in metric.undefined[name]


def test_an_unmatched_detection_has_the_size_of_its_body() -> None:
    """A person of large area is found; a stray one, sure and small in its body, is no large one."""
    K = 4  # two of the body, two of a hand
    person = {"id": 1, "image_id": 1, "area": 100.0**2, "bbox": [0, 0, 100, 100], "iscrowd": 0}
    points = np.array([[0, 0, 2], [100, 100, 2], [40, 40, 2], [60, 60, 2]], float)
    truth = {"images": [{"id": 1}], "annotations": [{**person, "keypoints": points.ravel()}]}
    stray = points.copy()
    stray[2:, :2] = [[5000, 0], [5300, 300]]  # its hand alone would make it large
    stray[:2, :2] = [[5000, 0], [5010, 10]]
    found = [
        {"image_id": 1, "keypoints": p.ravel(), "score": s} for p, s in ((points, 0.5), (stray, 1))
    ]
    for part in (None, [2, 3]):
        numbers, _ = oks.average_precision(
            truth, found, np.full(K, 0.1), keypoints=part, body=[0, 1]
        )
        assert numbers["AP_L"] == pytest.approx(1)
        all_of_it, _ = oks.average_precision(truth, found, np.full(K, 0.1), keypoints=part)
        assert all_of_it["AP_L"] == pytest.approx(0.5)
