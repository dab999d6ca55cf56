from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sapiens_lab.heatmaps import HeatmapCodec
from sapiens_lab.losses.pose import HeatmapMSELoss, HeatmapOHKMLoss


def test_unlabelled_keypoints_stay_in_the_denominator() -> None:
    preds, target = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    assert HeatmapMSELoss()(preds, target, torch.ones(1, 4)).item() == 1
    assert HeatmapMSELoss()(preds, target, torch.tensor([[1.0, 0, 0, 0]])).item() == 0.25


def test_the_worst_keypoints_are_mined() -> None:
    preds = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    loss = HeatmapOHKMLoss(topk=2)(preds, torch.zeros(1, 4, 2, 2), torch.ones(1, 4))
    assert loss.item() == (9 + 16) / 2


def test_mining_more_than_there_are_is_refused() -> None:
    maps = torch.zeros(1, 4, 2, 2)
    with pytest.raises(ValueError, match="4 keypoints only"):
        HeatmapOHKMLoss(topk=5)(maps, maps, torch.ones(1, 4))


def test_equal_the_official_losses(shared: Path) -> None:
    io = load_file(shared / "goldens" / "v1" / "pose_io.safetensors")
    target, weight = HeatmapCodec((128, 96), heatmap_size=(32, 24), sigma=2.0).encode(
        io["keypoints"], io["visible"]
    )
    mse = HeatmapMSELoss()(io["heatmaps"], target, weight)
    mined = HeatmapOHKMLoss(int(io["ohkm_topk"]))(io["heatmaps"], target, weight)
    torch.testing.assert_close(mse, io["loss_mse"][0], rtol=1e-5, atol=0)
    torch.testing.assert_close(mined, io["loss_ohkm"][0], rtol=1e-5, atol=0)
