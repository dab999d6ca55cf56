from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sapiens_lab.losses.depth import DepthGradientLoss, DepthL1Loss, DepthL2Loss, SiLogLoss


@pytest.fixture
def target() -> Tensor:
    return torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(0)) + 0.1


@pytest.fixture
def valid(target: Tensor) -> Tensor:
    valid = torch.ones_like(target).bool()
    valid[0, :, :2] = False
    return valid


def gradient(loss: nn.Module, preds: Tensor, target: Tensor, valid: Tensor) -> tuple[float, Tensor]:
    preds = preds.detach().clone().requires_grad_()
    value = loss(preds, target, valid)
    value.backward()
    assert preds.grad is not None
    assert preds.grad.isfinite().all()
    return value.item(), preds.grad


def test_l2_by_hand_over_valid_pixels_only() -> None:
    preds = torch.tensor([1.0, 5.0, float("nan")]).view(1, 1, 1, 3)
    target, valid = torch.tensor([2.0, 2.0, 2.0]).view(1, 1, 1, 3), ~preds.isnan()
    value, slope = gradient(DepthL2Loss(), preds, target, valid)
    assert value == pytest.approx((1 + 9) / 2)
    assert slope.flatten().tolist() == pytest.approx([-1, 3, 0])


def test_silog_by_hand() -> None:
    """Logarithms off by 1 and 3 in one image, by 2 and 2 in the other."""
    target = torch.ones(2, 1, 1, 2)
    preds = torch.tensor([-1.0, -3.0, -2.0, -2.0]).exp().view(2, 1, 1, 2)
    valid = torch.ones_like(target).bool()
    half = (math.sqrt(5 - 0.5 * 4) + math.sqrt(4 - 0.5 * 4)) / 2
    assert SiLogLoss()(preds, target, valid).item() == pytest.approx(half)
    whole = (math.sqrt(5 - 4) + 0) / 2
    assert SiLogLoss(variance_factor=1)(preds, target, valid).item() == pytest.approx(
        whole, abs=1e-3
    )
    none = (math.sqrt(5) + 2) / 2
    assert SiLogLoss(variance_factor=0)(preds, target, valid).item() == pytest.approx(none)


def test_silog_forgives_a_factor_where_told_to(target: Tensor, valid: Tensor) -> None:
    loss = SiLogLoss(variance_factor=1)
    preds = target * torch.rand(2, 1, 4, 5).add(0.5)
    torch.testing.assert_close(loss(7 * preds, target, valid), loss(preds, target, valid))
    assert SiLogLoss()(7 * preds, target, valid) > SiLogLoss()(preds, target, valid)


def test_a_perfect_prediction_has_a_finite_gradient(target: Tensor, valid: Tensor) -> None:
    value, slope = gradient(SiLogLoss(), target, target, valid)
    assert value == pytest.approx(1e-6)
    assert (slope == 0).all()
    gradient(SiLogLoss(variance_factor=1), 3 * target, target, valid)


def test_targets_of_zero_do_not_count(target: Tensor, valid: Tensor) -> None:
    """The nearest pixel of a relative depth is 0 and has no logarithm."""
    loss = SiLogLoss()
    zeroed = target.masked_fill(~valid, 0)
    everywhere = torch.ones_like(valid)
    assert loss(2 * target, zeroed, everywhere) == loss(2 * target, target, valid)


def test_predictions_below_zero_need_the_leak(target: Tensor, valid: Tensor) -> None:
    preds = torch.full_like(target, -0.5)
    official, slope = gradient(SiLogLoss(), preds, target, valid)
    assert (slope == 0).all()
    value, slope = gradient(SiLogLoss(leak=0.1), preds, target, valid)
    assert value == pytest.approx(official + 0.1 * 0.5, abs=1e-5)
    assert (slope[valid] < 0).all()
    assert (slope[~valid] == 0).all()
    assert SiLogLoss(leak=0.1)(target, target, valid) == SiLogLoss()(target, target, valid)


def test_a_negative_head_recovers_with_the_leak(target: Tensor, valid: Tensor) -> None:
    bias = nn.Parameter(torch.tensor(-0.3))
    optimizer = torch.optim.Adam([bias], lr=0.05)
    loss = SiLogLoss(leak=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss(bias.expand_as(target), target, valid).backward()
        optimizer.step()
    assert bias.item() == pytest.approx(target[valid].log().mean().exp().item(), abs=0.2)


def test_l1_by_hand() -> None:
    """Pooled over the batch: three valid pixels, off by 1, 2 and 6."""
    preds = torch.tensor([1.0, -2.0, 9.0, 6.0]).view(2, 1, 1, 2)
    valid = torch.tensor([True, True, False, True]).view(2, 1, 1, 2)
    value, slope = gradient(DepthL1Loss(), preds, torch.zeros_like(preds), valid)
    assert value == pytest.approx(3)
    assert slope.flatten().tolist() == pytest.approx([1 / 3, -1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("loss", [SiLogLoss(leak=0.1), DepthL1Loss()])
class TestBoth:
    @pytest.mark.parametrize("dirt", [torch.nan, torch.inf, -torch.inf])
    def test_valid_pixels_that_are_not_finite_do_not_count(
        self, loss: nn.Module, target: Tensor, valid: Tensor, dirt: float
    ) -> None:
        row = torch.zeros_like(valid)
        row[..., 0, :] = True
        expected, _ = gradient(loss, 2 * target, target, valid & ~row)
        value, slope = gradient(loss, 2 * target, target.masked_fill(row, dirt), valid)
        assert value == expected
        assert (slope[row] == 0).all()

    def test_invalid_pixels_do_not_count(
        self, loss: nn.Module, target: Tensor, valid: Tensor
    ) -> None:
        value, slope = gradient(loss, 2 * target, target, valid)
        assert (slope[~valid] == 0).all()
        assert (slope[valid] != 0).all()
        dirty = target.masked_fill(~valid, torch.nan)
        assert gradient(loss, 2 * target, dirty, valid)[0] == value
        assert gradient(loss, (2 * target).where(valid, -5), target, valid)[0] == value

    def test_nothing_valid(self, loss: nn.Module, target: Tensor, valid: Tensor) -> None:
        for preds in (2 * target, -target):
            value, slope = gradient(loss, preds, target, valid & False)
            assert value == 0
            assert (slope == 0).all()

    def test_bfloat16_is_compared_in_float32(
        self, loss: nn.Module, target: Tensor, valid: Tensor
    ) -> None:
        preds = (2 * target).bfloat16()
        value = loss(preds, target, valid)
        assert value.dtype == torch.float32
        assert value == loss(preds.float(), target, valid)

    def test_gradient_is_that_of_finite_differences(
        self, loss: nn.Module, target: Tensor, valid: Tensor
    ) -> None:
        preds = 1.5 * target + 0.3
        direction = torch.randn(preds.shape, generator=torch.Generator().manual_seed(2))
        step = 1e-3 * direction
        rise = loss(preds + step, target, valid) - loss(preds - step, target, valid)
        _, slope = gradient(loss, preds, target, valid)
        assert rise.item() / 2e-3 == pytest.approx((slope * direction).sum().item(), rel=2e-2)

    def test_sizes_must_fit(self, loss: nn.Module, target: Tensor, valid: Tensor) -> None:
        with pytest.raises(ValueError, match="upsample"):
            loss(target[..., :2], target, valid)
        with pytest.raises(ValueError, match="one channel"):
            loss(target, target, valid[:, 0])


def test_an_image_without_valid_pixels_halves_the_mean(target: Tensor, valid: Tensor) -> None:
    """The official rule: every image of the batch counts."""
    valid[0] = False
    alone = SiLogLoss()(2 * target[1:], target[1:], valid[1:])
    torch.testing.assert_close(SiLogLoss()(2 * target, target, valid), alone / 2)


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"variance_factor.*1\.5"):
        SiLogLoss(variance_factor=1.5)
    with pytest.raises(ValueError, match="positive"):
        SiLogLoss(root_eps=0)


def test_gradients_are_compared_at_every_scale() -> None:
    valid = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    flat = torch.zeros(1, 1, 4, 4)
    loss = DepthGradientLoss(num_scales=2)
    assert float(loss(flat + 7, flat, valid)) == 0  # a shift has no gradient
    # Scale 1: neighbors differ by 1 along x and by 0 along y; scale 2: by 2 and 0.
    assert float(loss(ramp, flat, valid)) == pytest.approx((1 + 2) / 2)
    valid[..., 1] = False  # no pair left across the gap but columns 2 and 3
    assert float(DepthGradientLoss(num_scales=1)(ramp, flat, valid)) == pytest.approx(1)
    preds = ramp.clone().requires_grad_()
    loss(preds, flat, torch.zeros_like(valid)).backward()
    assert preds.grad is not None
    assert not preds.grad.any()
