from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_lab.losses.segmentation import DiceLoss, WeightedCrossEntropy

IGNORE = 255


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    labels = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = IGNORE
    return labels


def test_cross_entropy_by_hand() -> None:
    """Two of four pixels count: -log 0.5 with weight 2 and -log 0.25 with weight 10."""
    probability = torch.tensor([[0.5, 0.75, 0.9, 0.1], [0.5, 0.25, 0.1, 0.9]])
    labels = torch.tensor([[[0, 1, IGNORE, IGNORE]]])
    loss = WeightedCrossEntropy(class_weights=[2, 10])(probability.log().view(1, 2, 1, 4), labels)
    assert loss.item() == pytest.approx((2 * math.log(2) + 10 * math.log(4)) / 4)


def test_cross_entropy_divides_by_all_pixels(logits: Tensor, labels: Tensor) -> None:
    weights = torch.tensor([0.1, 3.0, 10.0])
    total = F.cross_entropy(logits, labels, weights, reduction="sum", ignore_index=IGNORE)
    loss = WeightedCrossEntropy(class_weights=weights.tolist())
    torch.testing.assert_close(loss(logits, labels), total / labels.numel())
    plain = F.cross_entropy(logits, labels.clamp(max=2))
    torch.testing.assert_close(WeightedCrossEntropy()(logits, labels.clamp(max=2)), plain)


def test_dice_by_hand() -> None:
    """Probability 0.8 of the truth in each of two pixels: 1 - 2 * 0.8 / (0.64 + 0.04 + 1)."""
    probability = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    logits = probability.log().view(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    expected = pytest.approx(1 - 1.6 / 1.68)
    assert DiceLoss(smooth=0)(logits, labels).item() == expected
    assert DiceLoss(smooth=0, background=None)(logits, labels).item() == expected


def test_dice_averages_over_present_classes() -> None:
    """Class 2 is never there: what is predicted of it does not enter."""
    logits = torch.full((2, 3, 1, 2), -30.0)
    logits[:, 0, 0, 0] = logits[:, 1, 0, 1] = 30
    labels = torch.tensor([[[0, 1]], [[0, 1]]])
    assert DiceLoss()(logits, labels).item() == pytest.approx(0, abs=1e-6)
    assert DiceLoss(background=None)(logits, 1 - labels).item() == pytest.approx(1, abs=2e-3)
    labels[0] = 0  # an image of background alone adds 0, also where it is wrong
    wrong = torch.where(labels == 1, 0, 2)
    assert DiceLoss()(logits, labels).item() == pytest.approx(0, abs=1e-6)
    assert DiceLoss()(logits, wrong).item() == pytest.approx(1, abs=2e-3)
    assert DiceLoss()(logits, torch.zeros_like(labels)).item() == 0


@pytest.mark.parametrize("loss", [WeightedCrossEntropy(class_weights=[1, 2, 3]), DiceLoss()])
class TestBoth:
    def test_ignored_pixels_do_not_count(
        self, loss: nn.Module, logits: Tensor, labels: Tensor
    ) -> None:
        logits.requires_grad_()
        value = loss(logits, labels)
        value.backward()
        assert logits.grad is not None
        assert (logits.grad[0, :, :2] == 0).all()
        assert (logits.grad[0, :, 2:] != 0).any()
        changed = logits.detach().clone()
        changed[0, :, :2] += torch.randn(3, 2, 5)
        assert torch.equal(loss(changed, labels), value)

    def test_nothing_labeled(self, loss: nn.Module, logits: Tensor, labels: Tensor) -> None:
        logits.requires_grad_()
        value = loss(logits, torch.full_like(labels, IGNORE))
        value.backward()
        assert value.item() == 0
        assert logits.grad is not None
        assert (logits.grad == 0).all()

    def test_bfloat16_is_compared_in_float32(
        self, loss: nn.Module, logits: Tensor, labels: Tensor
    ) -> None:
        value = loss(logits.bfloat16(), labels)
        assert value.dtype == torch.float32
        assert torch.equal(value, loss(logits.bfloat16().float(), labels))

    def test_descent_finds_the_labels(
        self, loss: nn.Module, logits: Tensor, labels: Tensor
    ) -> None:
        logits = nn.Parameter(logits)
        optimizer = torch.optim.Adam([logits], lr=0.5)
        for _ in range(60):
            optimizer.zero_grad()
            loss(logits, labels).backward()
            optimizer.step()
        foreground = (labels != IGNORE) & (labels != 0)
        assert (logits.argmax(1) == labels)[foreground].all()

    def test_sizes_must_fit(self, loss: nn.Module, logits: Tensor, labels: Tensor) -> None:
        with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\).*\(2, 2, 5\).*upsample"):
            loss(logits, labels[:, :2])


def test_one_weight_a_class(logits: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="2 class weights for 3 classes"):
        WeightedCrossEntropy(class_weights=[1, 2])(logits, labels)


def test_another_ignore_index(logits: Tensor, labels: Tensor) -> None:
    other = labels.where(labels != IGNORE, -1)
    for kind in (WeightedCrossEntropy, DiceLoss):
        assert torch.equal(kind(ignore_index=-1)(logits, other), kind()(logits, labels))
    # An ignored class is no class to overlap with either.
    background = WeightedCrossEntropy(ignore_index=0)(logits, torch.zeros_like(labels))
    assert background.item() == 0
    assert DiceLoss(ignore_index=1)(logits, torch.ones_like(labels)).item() == 0


def test_counted_weights_travel_with_a_checkpoint() -> None:
    counted, fresh = (WeightedCrossEntropy(class_weights="auto") for _ in range(2))
    weights = counted.balance(np.array([900, 90, 10, 0]))
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == 1  # a class that does not occur
    fresh.load_state_dict(counted.state_dict())
    logits, labels = torch.randn(1, 4, 3, 3), torch.randint(0, 4, (1, 3, 3))
    torch.testing.assert_close(fresh(logits, labels), counted(logits, labels))
    given = WeightedCrossEntropy(class_weights=[1, 1, 1, 1])
    given.load_state_dict(counted.state_dict())  # the config's word stands
    torch.testing.assert_close(given(logits, labels), WeightedCrossEntropy()(logits, labels))


def test_an_evaluation_without_counts_is_unweighted(
    logits: Tensor, labels: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    """An export that is evaluated has no training set; training without counts is a fault."""
    loss = WeightedCrossEntropy(class_weights="auto")
    with pytest.raises(ValueError, match="call balance"):
        loss(logits, labels)
    loss.eval()
    for _ in range(2):
        torch.testing.assert_close(loss(logits, labels), WeightedCrossEntropy()(logits, labels))
    assert caplog.text.count("no training set was counted") == 1
    assert loss.needs_counts  # a training that follows counts
