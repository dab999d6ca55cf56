from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens_lab.metrics.normal import AngularErrors, angles_deg


def measure(preds: Tensor, target: Tensor, valid: Tensor) -> dict[str, float]:
    metric = AngularErrors()
    metric.update(preds, target, valid)
    return {name: float(value) for name, value in metric.compute().items()}


def turned(degrees: list[float] | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A row of normals that are off by these angles."""
    angle = torch.as_tensor(degrees).float().deg2rad()[None]  # (1, W)
    target = torch.tensor([0.0, 0, -1]).view(3, 1, 1).expand(3, *angle.shape)
    preds = torch.stack([angle.sin(), torch.zeros_like(angle), -angle.cos()])
    return preds, target, torch.ones_like(angle).bool()


def image(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = F.normalize(torch.randn(3, 12, 14, generator=generator), dim=0)
    preds = target + 0.4 * torch.randn(3, 12, 14, generator=generator)
    return preds, target, torch.rand(12, 14, generator=generator) < 0.7


def test_by_hand() -> None:
    assert measure(*turned([0, 6, 10, 20, 29, 90, 135, 180])) == pytest.approx(
        {
            "mean_angular_error": (6 + 10 + 20 + 29 + 90 + 135 + 180) / 8,
            "median_angular_error": (20 + 29) / 2,
            "within_5": 1 / 8,
            "within_7.5": 2 / 8,
            "within_11.25": 3 / 8,
            "within_22.5": 4 / 8,
            "within_30": 5 / 8,
        },
        abs=1e-5,
    )


@pytest.mark.parametrize("angle", [1e-4, 1e-3, 0.02, 1.0, 90.0, 179.99, 179.9999])
def test_angles_are_exact_at_both_ends(angle: float) -> None:
    """The arc cosine of a float32 is off by 0.02 degrees there."""
    exact = math.radians(angle)
    preds = torch.tensor([[math.sin(exact), 0, math.cos(exact)]])
    found = angles_deg(preds, torch.tensor([[0.0, 0, 1]])).item()
    assert found == pytest.approx(angle, rel=2e-7)  # the spacing of float32 numbers


def test_equal_and_opposite_normals() -> None:
    _, target, valid = image()
    same, opposite = measure(target, target, valid), measure(-target, target, valid)
    assert same["mean_angular_error"] == pytest.approx(0, abs=1e-4)
    assert same["median_angular_error"] == 0
    assert same["within_5"] == 1
    assert opposite["mean_angular_error"] == pytest.approx(180, abs=1e-4)
    assert opposite["median_angular_error"] == pytest.approx(180)
    assert opposite["within_30"] == 0


def test_length_does_not_matter() -> None:
    preds, target, valid = image()
    before = measure(preds, target, valid)
    for factor in (1e-6, 1e6):
        assert measure(factor * preds, 3 * target, valid) == pytest.approx(before, abs=1e-4)


def test_a_prediction_of_zero_is_not_perfect() -> None:
    _, target, valid = image()
    assert measure(torch.zeros_like(target), target, valid)["mean_angular_error"] == 90


def test_equals_the_angles_themselves() -> None:
    preds, target, valid = image()
    cosine = (F.normalize(preds.double(), dim=0) * target.double()).sum(0)[valid]
    angles = cosine.clamp(-1, 1).acos().rad2deg().numpy()
    numbers = measure(preds, target, valid)
    assert numbers["mean_angular_error"] == pytest.approx(angles.mean(), abs=1e-5)
    assert numbers["median_angular_error"] == pytest.approx(np.median(angles), abs=0.005)
    for threshold in (5, 7.5, 11.25, 22.5, 30):
        assert numbers[f"within_{threshold:g}"] == pytest.approx((angles < threshold).mean())


@pytest.mark.parametrize("number", [1, 2, 3, 1000, 1001])
def test_median_to_its_resolution(number: int) -> None:
    angles = 180 * torch.rand(number, generator=torch.Generator().manual_seed(number)) ** 3
    median = measure(*turned(angles))["median_angular_error"]
    assert median == pytest.approx(float(np.median(angles.double().numpy())), abs=0.00501)


def test_invalid_pixels_do_not_count() -> None:
    preds, target, valid = image()
    before = measure(preds, target, valid)
    for dirt in (0, -7, torch.nan, torch.inf):
        assert measure(preds.where(valid, dirt), target.where(valid, dirt), valid) == before


def test_pixels_are_pooled() -> None:
    metric = AngularErrors(thresholds_deg=[])
    metric.update(*turned([10, 10, 10]))
    metric.update(*turned([50]))
    numbers = metric.compute()
    assert numbers["mean_angular_error"].item() == pytest.approx(20)
    assert numbers["median_angular_error"].item() == pytest.approx(10)
    assert set(numbers) == {"mean_angular_error", "median_angular_error"}


def test_batches_and_images_give_the_same() -> None:
    one, many, channel = AngularErrors(), AngularErrors(), AngularErrors()
    images = [image(seed) for seed in range(3)]
    for preds, target, valid in images:
        one.update(preds, target, valid)
    preds, target, valid = (torch.stack(rows) for rows in zip(*images, strict=True))
    many.update(preds, target, valid)
    channel.update(preds, target, valid[:, None])
    assert one.compute() == many.compute() == channel.compute()


def test_states_of_processes_add_up() -> None:
    whole, *parts = (AngularErrors() for _ in range(3))
    for seed, part in enumerate(parts):
        part.update(*image(seed))
        whole.update(*image(seed))
    joined = AngularErrors()
    for name, reduction in joined._reductions.items():
        setattr(joined, name, reduction(torch.stack([getattr(part, name) for part in parts])))
    joined._update_count = 2
    assert joined.compute() == whole.compute()


def test_without_valid_pixels_the_reason_is_given() -> None:
    preds, target, valid = image()
    metric = AngularErrors(thresholds_deg=[11.25])
    metric.update(preds, target, valid & False)
    assert metric.compute() == {}
    names = {"mean_angular_error", "median_angular_error", "within_11.25"}
    assert metric.undefined == dict.fromkeys(names, "no pixel has a valid normal")
    metric.update(preds, target, valid)
    assert set(metric.compute()) == names
    assert metric.undefined == {}


def test_a_target_that_is_not_finite_does_not_count() -> None:
    preds, target, valid = image()
    row = torch.zeros_like(valid)
    row[..., 0, :] = True
    clean, dirty = AngularErrors(), AngularErrors()
    clean.update(preds, target, valid & ~row)
    target[1][row.view(target.shape[1:])] = torch.nan  # one component is enough
    dirty.update(preds, target, valid)
    assert clean.compute() == dirty.compute()
    assert dirty.undefined == {}


def test_predictions_that_are_not_finite_are_not_hidden() -> None:
    preds, target, _ = image()
    preds[1, 2, 3] = torch.nan
    metric = AngularErrors()
    metric.update(preds, target, torch.ones(12, 14).bool())
    assert metric.compute() == {}
    assert "1 valid pixels" in metric.undefined["within_5"]


def test_bad_input_is_refused() -> None:
    preds, target, valid = image()
    with pytest.raises(ValueError, match=r"\(2, 12, 14\).*\(\.\.\., 3, H, W\)"):
        AngularErrors().update(preds[:2], target[:2], valid)
    for wrong in (valid[:, :5], valid.expand(3, 12, 14), valid.expand(2, 12, 14)):
        with pytest.raises(ValueError, match="valid"):
            AngularErrors().update(preds, target, wrong)
    with pytest.raises(ValueError, match=r"180 degrees.*200"):
        AngularErrors(thresholds_deg=[5, 200])
