"""Codec, losses and metrics against numbers recorded from the official code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.heatmaps import HeatmapCodec, flip_heatmaps
from sapiens_lab.losses.pose import HeatmapMSELoss, HeatmapOHKMLoss
from sapiens_lab.metrics import oks
from sapiens_lab.metrics.pose import OksAP

# 308 keypoints at full size with sigma 6; the small heatmaps have sigma 2.
FULL = HeatmapCodec((1024, 768), heatmap_size=(256, 192), sigma=6)


@pytest.fixture(scope="module")
def small(goldens: Path) -> dict[str, Tensor]:
    return load_file(goldens / "pose_io.safetensors")


@pytest.fixture(scope="module")
def codec(config: dict[str, Any]) -> HeatmapCodec:
    """The codec of ``small``: heatmaps a quarter of the input's size."""
    height, width = config["input_size"]
    size = (height // 4, width // 4)
    return HeatmapCodec((height, width), heatmap_size=size, sigma=config["heatmap_sigma"])


def assert_decodes(codec: HeatmapCodec, heatmap: Tensor, xy: Tensor, score: Tensor) -> None:
    """Compare within 0.01 px.

    The official intermediate coordinates are multiplied by the input's size where ours are by size
    minus 1; its next step divides by the size again. It has NaN for maps without a peak.
    """
    ours, our_score = codec.decode(heatmap)
    H, W = codec.input_size
    ours = ours * torch.tensor([W / (W - 1), H / (H - 1)])
    peaked = score > 0
    assert peaked.any()
    torch.testing.assert_close(ours[peaked], xy[peaked], atol=1e-2, rtol=0)
    torch.testing.assert_close(our_score, score, atol=1e-5, rtol=0)
    assert torch.isfinite(ours).all()


def test_encode(small: dict[str, Tensor], codec: HeatmapCodec) -> None:
    heatmap, weight = codec.encode(small["keypoints"], small["visible"])
    torch.testing.assert_close(heatmap[0], small["target_heatmaps"], atol=1e-5, rtol=0)
    assert torch.equal(weight, small["target_weights"])


def test_encode_308(codec_308: dict[str, Tensor]) -> None:
    heatmap, weight = FULL.encode(codec_308["keypoints"], codec_308["visible"])
    picked = heatmap[0, codec_308["pick"]]
    torch.testing.assert_close(picked, codec_308["heatmaps_pick"], atol=1e-5, rtol=0)
    sums = heatmap[0].sum((-2, -1))
    torch.testing.assert_close(sums, codec_308["heatmap_sums"], atol=1e-3, rtol=1e-5)
    assert torch.equal(weight, codec_308["weights"])


def test_decode(small: dict[str, Tensor], codec: HeatmapCodec) -> None:
    target, score = small["decoded_target"], small["decoded_target_scores"]
    assert_decodes(codec, small["target_heatmaps"][None], target, score)
    assert_decodes(codec, small["heatmaps"], small["decoded_pred"], small["decoded_pred_scores"])


def test_decode_308(codec_308: dict[str, Tensor]) -> None:
    heatmap, _ = FULL.encode(codec_308["keypoints"], codec_308["visible"])
    assert_decodes(FULL, heatmap, codec_308["decoded"], codec_308["scores"])
    assert_decodes(
        FULL, codec_308["noisy_pick"][None], codec_308["noisy_decoded"], codec_308["noisy_scores"]
    )


def test_source_coordinates_equal_the_official_ones(
    small: dict[str, Tensor], codec: HeatmapCodec
) -> None:
    """Input pixels through the inverse crop matrix end where the official rule ends."""
    input_height, input_width = codec.input_size
    x1, y1, width, height = 37.0, -12.5, 150.0, 200.0  # of the input's aspect
    assert width / height == input_width / input_height
    size = torch.tensor([input_width, input_height])
    official = small["decoded_pred"] / size * torch.tensor([width, height])
    official = official + torch.tensor([x1, y1])
    box = torch.tensor([x1, y1, x1 + width, y1 + height]).numpy()
    xy, _ = codec.decode(small["heatmaps"])
    ours = geometry.apply(geometry.invert(geometry.crop(box, codec.input_size)), xy.numpy())
    torch.testing.assert_close(torch.from_numpy(ours).float(), official, atol=1e-2, rtol=0)


def test_losses(small: dict[str, Tensor]) -> None:
    inputs = small["heatmaps"], small["target_heatmaps"][None], small["target_weights"]
    torch.testing.assert_close(HeatmapMSELoss()(*inputs), small["loss_mse"][0])
    topk = int(small["ohkm_topk"][0])
    torch.testing.assert_close(HeatmapOHKMLoss(topk)(*inputs), small["loss_ohkm"][0])


def test_flip_order_is_a_flip(small: dict[str, Tensor]) -> None:
    index = small["flip_indices"].numpy()
    twice = flip_heatmaps(flip_heatmaps(small["heatmaps"], index), index)
    assert torch.equal(twice, small["heatmaps"])


WHOLE_BODY_LISTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def recorded_evaluation(shared: Path, name: str) -> tuple[dict[str, Any], list[Any], Any]:
    """Return ground truth, detections and the recorded numbers."""
    folder = shared / "goldens/pose_and_metrics"
    file = {"coco17": "test_coco.json", "wholebody133": "test_coco_wholebody.json"}[name]
    truth = json.loads((shared / "data/coco_tiny" / file).read_text())
    if name == "wholebody133":
        for person in truth["annotations"]:
            person["keypoints"] = [n for key in WHOLE_BODY_LISTS for n in person[key]]
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
    """The same through ``OksAP``, people being neither scored anew nor suppressed.

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
