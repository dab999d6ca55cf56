from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sapiens_lab.losses.pose import HeatmapMSELoss, HeatmapOHKMLoss

WEIGHT = torch.tensor([[1.0, 0.0, 1.0, 1.0]])


@pytest.fixture
def preds() -> Tensor:
    """Four maps of 2x2 pixels whose mean squares are 4, 100, 1 and 9."""
    return torch.tensor([2.0, 10.0, 1.0, 3.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)


def test_mse_keeps_unlabeled_keypoints_in_the_mean(preds: Tensor) -> None:
    loss = HeatmapMSELoss()(preds, torch.zeros_like(preds), WEIGHT)
    assert loss.item() == (4 + 0 + 1 + 9) / 4


def test_ohkm_takes_the_hardest_labeled(preds: Tensor) -> None:
    loss = HeatmapOHKMLoss(2)(preds, torch.zeros_like(preds), WEIGHT)
    assert loss.item() == (9 + 4) / 2


def test_ohkm_chooses_for_each_person(preds: Tensor) -> None:
    two = torch.cat([preds, 2 * preds])
    weight = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    loss = HeatmapOHKMLoss(2)(two, torch.zeros_like(two), weight)
    assert loss.item() == ((9 + 4) / 2 + (4 + 0) / 2) / 2


@pytest.mark.parametrize("loss", [HeatmapMSELoss(), HeatmapOHKMLoss(2)])
def test_bfloat16_output_is_compared_in_float32(loss: torch.nn.Module, preds: Tensor) -> None:
    half = preds.bfloat16().requires_grad_()
    value = loss(half, torch.full_like(preds, 1e-3), WEIGHT)
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad is not None
    assert half.grad[0, 1].abs().sum() == 0  # unlabeled


def test_misfits_are_named(preds: Tensor) -> None:
    with pytest.raises(ValueError, match="out_channels"):
        HeatmapMSELoss()(preds, torch.zeros(1, 3, 2, 2), WEIGHT)
    with pytest.raises(ValueError, match="topk=128 of 4 keypoints"):
        HeatmapOHKMLoss(128)(preds, torch.zeros_like(preds), WEIGHT)
    with pytest.raises(ValueError, match="at least 1"):
        HeatmapOHKMLoss(0)
