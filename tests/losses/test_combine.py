from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sapiens_lab.losses.combine import SumOfLosses, masked, masked_mean
from sapiens_lab.losses.depth import DepthL1Loss, SiLogLoss
from sapiens_lab.losses.segmentation import DiceLoss, WeightedCrossEntropy


class Difference(nn.Module):
    """Mean of the difference, as a loss whose value is plain."""

    def forward(self, preds: Tensor, target: Tensor) -> Tensor:
        return (preds - target).mean()


def test_terms_are_named_and_weighted() -> None:
    loss = SumOfLosses(terms={"a": Difference(), "b": nn.L1Loss()}, weights={"a": 10})
    terms = loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    assert {name: float(value) for name, value in terms.items()} == {"a": -20, "b": 2}


def test_terms_of_one_task_share_their_inputs() -> None:
    labels = torch.randint(0, 3, (2, 4, 4))
    loss = SumOfLosses(terms={"ce": WeightedCrossEntropy(), "dice": DiceLoss()})
    assert set(loss(torch.randn(2, 3, 4, 4), labels)) == {"ce", "dice"}
    target = torch.rand(2, 1, 4, 4)
    both = SumOfLosses(terms={"silog": SiLogLoss(), "l1": DepthL1Loss()}, weights={"l1": 0.5})
    terms = both(target + 0.1, target, torch.ones_like(target).bool())
    assert terms["l1"].item() == pytest.approx(0.05)


def test_parameters_of_terms_move_along() -> None:
    loss = SumOfLosses(terms={"ce": WeightedCrossEntropy(class_weights=[1, 2])})
    assert [name for name, _ in loss.named_buffers()] == ["terms.ce.class_weights"]
    # Weights come from the config; a checkpoint repeats only those that were counted.
    assert [len(value) for value in loss.state_dict().values()] == [0]


def test_misnamed_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['dicee'\].*\['ce', 'dice'\]"):
        SumOfLosses(terms={"ce": nn.L1Loss(), "dice": nn.L1Loss()}, weights={"dicee": 2})
    with pytest.raises(ValueError, match="at least one term"):
        SumOfLosses(terms={})


def test_masked_mean_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]).view(1, 3, 1, 2)
    valid = torch.tensor([True, False]).view(1, 1, 1, 2)
    assert masked_mean(values, valid).item() == 111
    assert masked_mean(values, ~valid).item() == 222
    assert masked_mean(values, valid & False).item() == 0


def test_a_target_that_is_not_finite_does_not_count() -> None:
    preds = torch.ones(1, 3, 1, 4)
    target = 2 * torch.ones(1, 3, 1, 4)
    target[0, 1, 0, 1], target[0, 2, 0, 2] = torch.nan, -torch.inf
    valid = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)
    preds, target, counts = masked(preds, target, valid)
    assert counts.flatten().tolist() == [True, False, False, False]
    for values, filled in ((preds, 1), (target, 2)):
        assert (values[..., 0] == filled).all()
        assert (values[..., 1:] == 0).all()


def test_masked_needs_one_size() -> None:
    valid = torch.ones(1, 1, 4, 4).bool()
    with pytest.raises(ValueError, match=r"\(1, 3, 2, 2\).*upsample"):
        masked(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4), valid)
    with pytest.raises(ValueError, match="one channel"):
        masked(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), valid[:, 0])
