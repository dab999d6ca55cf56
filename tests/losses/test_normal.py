from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_lab.losses.normal import NormalCosineLoss, NormalL1Loss


@pytest.fixture
def target() -> Tensor:
    return F.normalize(torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture
def preds() -> Tensor:
    return torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def valid() -> Tensor:
    valid = torch.ones(2, 1, 4, 5).bool()
    valid[0, :, :2] = False
    return valid


def gradient(loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor) -> tuple[float, Tensor]:
    preds = preds.detach().clone().requires_grad_()
    value = loss(preds, target, valid)
    value.backward()
    assert preds.grad is not None
    assert preds.grad.isfinite().all()
    return value.item(), preds.grad


def test_by_hand() -> None:
    """Three valid pixels: the same direction twice as long, 60 degrees off, opposite."""
    preds = torch.tensor([[0.0, 0, -2], [0.0, 0.75**0.5, -0.5], [0, 0, 1], [9, 9, 9]])
    target = torch.tensor([0.0, 0, -1]).expand(4, 3)
    preds, target = (t.T.reshape(1, 3, 2, 2) for t in (preds, target))
    valid = torch.tensor([[True, True], [True, False]]).view(1, 1, 2, 2)
    cosine = NormalCosineLoss()(preds, target, valid)
    assert cosine.item() == pytest.approx((0 + 0.5 + 2) / 3)
    l1 = NormalL1Loss()(preds, target, valid)
    assert l1.item() == pytest.approx((1 + (0.75**0.5 + 0.5) + 2) / 3)


def test_l1_is_three_times_the_mean(preds: Tensor, target: Tensor, valid: Tensor) -> None:
    loss = NormalL1Loss()(preds, target, torch.ones_like(valid))
    torch.testing.assert_close(loss, 3 * (preds - target).abs().mean())


def test_cosine_ignores_length(preds: Tensor, target: Tensor, valid: Tensor) -> None:
    loss = NormalCosineLoss()
    torch.testing.assert_close(loss(5 * preds, target, valid), loss(preds, target, valid))
    torch.testing.assert_close(loss(preds, 5 * target, valid), loss(preds, target, valid))
    assert loss(target, target, valid).item() == pytest.approx(0, abs=1e-6)


def test_zero_predictions_have_a_finite_gradient(target: Tensor, valid: Tensor) -> None:
    value, slope = gradient(NormalCosineLoss(), torch.zeros_like(target), target, valid)
    assert value == 1
    toward = (slope * target).sum(1, keepdim=True)
    assert (toward[valid] < 0).all()  # descent turns to the target


@pytest.mark.parametrize("loss", [NormalCosineLoss(), NormalL1Loss()])
class TestBoth:
    def test_valid_pixels_that_are_not_finite_do_not_count(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        row = torch.zeros_like(valid)
        row[..., 0, :] = True
        expected, _ = gradient(loss, preds, target, valid & ~row)
        dirty = target.clone()
        dirty[:, 1:2][row] = torch.nan  # one component is enough
        value, slope = gradient(loss, preds, dirty, valid)
        assert value == expected
        assert (slope[row.expand_as(slope)] == 0).all()

    def test_invalid_pixels_do_not_count(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        value, slope = gradient(loss, preds, target, valid)
        mask = valid.expand_as(preds)
        assert (slope[~mask] == 0).all()
        assert (slope[mask] != 0).all()
        dirty = target.masked_fill(~valid, torch.nan)
        assert gradient(loss, preds, dirty, valid)[0] == value
        assert gradient(loss, preds.where(valid, 7), target, valid)[0] == value

    def test_nothing_valid(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        value, slope = gradient(loss, preds, target, valid & False)
        assert value == 0
        assert (slope == 0).all()

    def test_images_weigh_by_their_valid_pixels(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        parts = [loss(preds[i : i + 1], target[i : i + 1], valid[i : i + 1]) for i in (0, 1)]
        pooled = (parts[0] * valid[0].sum() + parts[1] * valid[1].sum()) / valid.sum()
        torch.testing.assert_close(loss(preds, target, valid), pooled)

    def test_bfloat16_is_compared_in_float32(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        value = loss(preds.bfloat16(), target, valid)
        assert value.dtype == torch.float32
        assert value == loss(preds.bfloat16().float(), target, valid)

    def test_gradient_is_that_of_finite_differences(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        direction = torch.randn(preds.shape, generator=torch.Generator().manual_seed(2))
        step = 1e-3 * direction
        rise = loss(preds + step, target, valid) - loss(preds - step, target, valid)
        _, slope = gradient(loss, preds, target, valid)
        assert rise.item() / 2e-3 == pytest.approx((slope * direction).sum().item(), rel=2e-2)

    def test_sizes_must_fit(
        self, loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor
    ) -> None:
        with pytest.raises(ValueError, match="upsample"):
            loss(preds[..., :2], target, valid)
        with pytest.raises(ValueError, match="one channel"):
            loss(preds, target, valid.expand_as(preds))
