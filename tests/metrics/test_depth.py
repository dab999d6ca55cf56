from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens_lab.metrics.depth import Alignment, DepthErrors, align

NAMES = ("rmse", "abs_rel", "delta1", "delta2", "delta3")


def measure(
    preds: Tensor, target: Tensor, valid: Tensor | None = None, alignment: Alignment = "raw"
) -> dict[str, float]:
    metric = DepthErrors(alignment=alignment)
    metric.update(preds, target, torch.ones_like(target).bool() if valid is None else valid)
    return {name: float(value) for name, value in metric.compute().items()}


def image(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(6, 8, generator=generator) + 0.5
    preds = target + 0.3 * torch.randn(6, 8, generator=generator)
    return preds, target, torch.rand(6, 8, generator=generator) < 0.7


def test_by_hand() -> None:
    """Ratios 1.2, 1.5, 1.9 and 3, one of them the other way round."""
    target = torch.tensor([[1.0, 3.0], [2.0, 1.0]])
    preds = torch.tensor([[1.2, 2.0], [3.8, 3.0]])
    assert measure(preds, target) == pytest.approx(
        {
            "rmse": ((0.04 + 1 + 1.8**2 + 4) / 4) ** 0.5,
            "abs_rel": (0.2 + 1 / 3 + 0.9 + 2) / 4,
            "delta1": 1 / 4,  # below 1.25
            "delta2": 2 / 4,  # below 1.5625
            "delta3": 3 / 4,  # below 1.953125
        }
    )


def test_images_are_averaged_not_pooled() -> None:
    target = torch.ones(2, 1, 4)
    preds = target + torch.tensor([1.0, 3.0]).view(2, 1, 1)
    valid = torch.ones_like(target).bool()
    valid[1, 0, 1:] = False  # one pixel weighs as much as the other image's four
    assert measure(preds, target, valid)["rmse"] == 2


def test_targets_of_zero_have_no_ratio() -> None:
    """They count in the rmse alone."""
    target = torch.tensor([[0.0, 1.0, 1e-3, 2.0]])
    numbers = measure(target + torch.tensor([[2.0, 0.0, 0.0, 0.0]]), target)
    assert numbers == pytest.approx({"rmse": 1, "abs_rel": 0, **dict.fromkeys(NAMES[2:], 1)})


def test_a_depth_below_zero_is_not_near() -> None:
    target = torch.ones(1, 4)
    numbers = measure(torch.tensor([[-1.0, 0.0, 1.0, 1.0]]), target)
    assert numbers["delta3"] == 0.5
    assert numbers["abs_rel"] == pytest.approx(3 / 4)


@pytest.mark.parametrize("alignment", ["scale", "scale_shift"])
def test_alignment_is_least_squares(alignment: Alignment) -> None:
    preds, target, valid = image()
    x, y = (t[valid].double().numpy() for t in (preds, target))
    columns = [x] if alignment == "scale" else [x, np.ones_like(x)]
    basis = np.stack(columns, -1)
    solution = np.linalg.lstsq(basis, y, rcond=None)[0]
    expected = np.sqrt(np.mean((basis @ solution - y) ** 2))
    numbers = measure(preds, target, valid, alignment)
    assert numbers[f"rmse_{alignment}"] == pytest.approx(expected, rel=1e-5)
    assert set(numbers) == {f"{name}_{alignment}" for name in NAMES}


def test_alignment_undoes_what_it_is_named_after() -> None:
    _, target, valid = image()
    for alignment, preds in (("scale", 5 * target), ("scale_shift", 0.01 * target - 40)):
        numbers = measure(preds, target, valid, alignment)
        assert numbers[f"rmse_{alignment}"] < 1e-3
        assert numbers[f"delta1_{alignment}"] == 1
    assert measure(5 * target + 3, target, valid, "scale")["rmse_scale"] > 0.05
    assert measure(5 * target, target, valid)["rmse"] > 1


def test_every_image_is_aligned_by_itself() -> None:
    _, target, valid = image()
    both = torch.stack([2 * target + 1, 0.5 * target - 3])
    numbers = measure(both, target.expand(2, 6, 8), valid.expand(2, 6, 8), "scale_shift")
    assert numbers["rmse_scale_shift"] < 1e-5


def test_a_flat_prediction_becomes_the_mean() -> None:
    _, target, valid = image()
    spread = target[valid].std(correction=0).item()
    for flat in (0.0, 0.3, 100.0):
        numbers = measure(torch.full_like(target, flat), target, valid, "scale_shift")
        assert numbers["rmse_scale_shift"] == pytest.approx(spread, rel=1e-3)
    zeros = measure(torch.zeros_like(target), target, valid, "scale")
    assert zeros["rmse_scale"] == pytest.approx(target[valid].square().mean().sqrt().item())


def test_raw_is_left_alone() -> None:
    preds, target, valid = (x.view(1, -1) for x in image())
    assert align(preds, target, valid, "raw") is preds


@pytest.mark.parametrize("alignment", ["raw", "scale", "scale_shift"])
def test_invalid_pixels_do_not_count(alignment: Alignment) -> None:
    preds, target, valid = image()
    before = measure(preds, target, valid, alignment)
    for dirt in (1e6, torch.nan, -torch.inf):
        dirty = preds.where(valid, dirt), target.where(valid, dirt)
        assert measure(*dirty, valid, alignment) == before


@pytest.mark.parametrize("shape", [(1, 6, 8), (1, 1, 6, 8)])
def test_leading_shape_does_not_matter(shape: tuple[int, ...]) -> None:
    preds, target, valid = image()
    views = (x.view(shape) for x in (preds, target, valid))
    assert measure(*views) == measure(preds, target, valid)


def test_batches_and_images_give_the_same() -> None:
    one, many = DepthErrors(alignment="scale"), DepthErrors(alignment="scale")
    images = [image(seed) for seed in range(4)]
    for preds, target, valid in images:
        one.update(preds, target, valid)
    many.update(*(torch.stack(rows)[:, None] for rows in zip(*images, strict=True)))
    expected = one.compute()
    for name, value in many.compute().items():
        torch.testing.assert_close(value, expected[name])


def test_states_of_processes_add_up() -> None:
    whole, *parts = (DepthErrors() for _ in range(3))
    for seed, part in enumerate(parts):
        part.update(*image(seed))
        whole.update(*image(seed))
    parts[0].update(*(x & False if x.dtype == torch.bool else x for x in image()))
    joined = DepthErrors()
    for name, reduction in joined._reductions.items():
        setattr(joined, name, reduction(torch.stack([getattr(part, name) for part in parts])))
    joined._update_count = 2
    assert joined.compute() == whole.compute()
    assert joined.skipped == 1


def test_images_without_a_valid_pixel_are_skipped() -> None:
    preds, target, valid = image()
    metric = DepthErrors(alignment="scale_shift")
    metric.update(preds, target, valid & False)
    assert metric.compute() == {}
    assert metric.skipped == 1
    assert set(metric.undefined) == {f"{name}_scale_shift" for name in NAMES}
    assert metric.undefined["rmse_scale_shift"] == "no image has a valid pixel"
    metric.update(preds, target, valid)
    numbers = {name: float(value) for name, value in metric.compute().items()}
    assert numbers == measure(preds, target, valid, "scale_shift")
    assert metric.undefined == {}


def test_without_deep_pixels_only_the_rmse_is_known() -> None:
    metric = DepthErrors()
    metric.update(torch.ones(2, 2), torch.zeros(2, 2), torch.ones(2, 2).bool())
    assert metric.compute() == {"rmse": 1}
    assert "min_depth=0.001" in metric.undefined["abs_rel"]
    assert set(metric.undefined) == set(NAMES[1:])


@pytest.mark.parametrize("dirt", [torch.nan, torch.inf])
def test_a_target_that_is_not_finite_does_not_count(dirt: float) -> None:
    preds, target, valid = image()
    row = torch.zeros_like(valid)
    row[0] = True
    clean, dirty = DepthErrors(), DepthErrors()
    clean.update(preds, target, valid & ~row)
    dirty.update(preds, target.masked_fill(row, dirt), valid)
    assert clean.compute() == dirty.compute()
    assert dirty.undefined == {}


def test_predictions_that_are_not_finite_are_not_hidden() -> None:
    preds, target, valid = image()
    metric = DepthErrors()
    metric.update(preds, target, valid)
    preds[valid] = torch.nan
    metric.update(preds, target, valid)
    assert metric.compute() == {}
    assert "1 images" in metric.undefined["rmse"]
    metric.reset()
    metric.update(*image())
    assert metric.compute()["rmse"].isfinite()


def test_bad_input_is_refused() -> None:
    preds, target, valid = image()
    with pytest.raises(ValueError, match=r"\(1, 6, 8\).*\(6, 8\).*one shape"):
        DepthErrors().update(preds[None], target, valid)
    with pytest.raises(ValueError, match=r"median.*'scale_shift'"):
        DepthErrors(alignment="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_depth"):
        DepthErrors(min_depth=-1)
