"""Schedules by hand, and those of the official experiments against the official rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from sapiens_lab.training import schedules
from tests.test_configs import composed

STEPS_PER_EPOCH = 100


def factors(make: Callable[..., LambdaLR], num_steps: int, **options: Any) -> list[float]:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    factor = make(optimizer, num_steps=num_steps, **options).lr_lambdas[0]
    assert callable(factor)
    return [factor(step) for step in range(num_steps)]


# ---- by hand -------------------------------------------------------------------------------------


def test_a_scheduler_scales_the_rate_of_its_optimizer() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedules.warmup_poly(optimizer, num_steps=4, warmup=0)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [2.0, 1.5, 1.0, 0.5]


def test_the_last_step_of_the_warmup_has_the_full_rate() -> None:
    values = factors(schedules.warmup_cosine, 100, warmup=0.1)
    assert values[0] == pytest.approx(1e-3)
    assert values[3] == pytest.approx(1e-3 + 0.999 / 3)  # a third of the nine steps
    assert values[9] == values[10] == 1
    assert values[8] < 1
    assert factors(schedules.warmup_cosine, 100, warmup=10) == values
    assert factors(schedules.warmup_cosine, 100, warmup=10, warmup_start=0.5)[0] == 0.5


def test_cosine_falls_from_the_end_of_the_warmup() -> None:
    values = factors(schedules.warmup_cosine, 100, warmup=0.1)
    assert values[55] == pytest.approx(0.5)
    assert values[-1] < 0.01
    assert factors(schedules.warmup_cosine, 100, warmup=0.1, final=0.2)[55] == pytest.approx(0.6)


def test_poly_falls_linearly_while_it_warms_up() -> None:
    values = factors(schedules.warmup_poly, 100, warmup=11)
    assert values[5] == pytest.approx((1e-3 + 0.999 * 0.5) * 0.95)
    assert values[50] == pytest.approx(0.5)
    assert factors(schedules.warmup_poly, 100, warmup=11, power=2)[50] == pytest.approx(0.25)


def test_schedules_per_epoch_change_at_epochs_only() -> None:
    poly = factors(schedules.warmup_poly, 15, warmup=0, num_epochs=5)
    assert poly == [f for f in (1, 0.75, 0.5, 0.25, 0) for _ in range(3)]
    cosine = factors(schedules.warmup_cosine, 8, warmup=0, num_epochs=4)
    expected = [0.5 * (1 + math.cos(math.pi * e / 4)) for e in range(4) for _ in range(2)]
    assert cosine == pytest.approx(expected)
    # A run that is cut within an epoch, or that has one only, stays defined.
    assert factors(schedules.warmup_poly, 7, warmup=0, num_epochs=3)[-1] == 0
    assert factors(schedules.warmup_poly, 2, warmup=0, num_epochs=1) == [1, 1]


def test_multistep_drops_exactly_at_fractions_of_the_run() -> None:
    values = factors(schedules.warmup_multistep, 21_000, warmup=0)
    for step, drop in ((17_000, 0.1), (20_000, 0.01)):
        assert values[step] == pytest.approx(drop)
        assert values[step - 1] == pytest.approx(10 * drop)
    assert factors(schedules.warmup_multistep, 10, warmup=0, milestones=[0.3])[2:4] == [1, 0.1]


@pytest.mark.parametrize("milestone", [170, 0, -0.5, "210/170", "1/0", "late"])
def test_a_milestone_is_a_fraction_of_the_run(milestone: float | str) -> None:
    with pytest.raises(ValueError, match=r"scheduler\.milestones are fractions of the run"):
        factors(schedules.warmup_multistep, 210, milestones=[milestone])


def test_a_warmup_that_outlasts_the_run_or_is_negative_is_refused() -> None:
    with pytest.raises(ValueError, match=r"500 steps.*run of 600"):
        factors(schedules.warmup_cosine, 600, warmup=500)
    with pytest.raises(ValueError, match=r"scheduler\.warmup=-1 must not be negative"):
        factors(schedules.warmup_cosine, 600, warmup=-1)


# ---- the official recipes ------------------------------------------------------------------------
# The official schedulers are chains: each multiplies the rate of the step before by a ratio. Two of
# them run side by side, one per step and one per epoch. These are their rules, step by step.

Chain = Iterator[float]


def linear(start: float, end: int) -> Chain:
    """Rise over ``end`` steps: the last of them, ``end - 1``, has factor 1."""
    factor, last, slope = start, end - 1, 1 - start
    yield factor
    for step in range(1, end):
        factor *= 1 + slope / (last * start + (step - 1) * slope)
        yield factor
    while True:
        yield 1.0


def poly(end: int) -> Chain:
    """Fall to 0 at the last of ``end`` epochs."""
    factor = 1.0
    yield factor
    for epoch in range(1, end):
        factor *= 1 - 1 / (end - epoch)
        yield factor


def cosine(end: int) -> Chain:
    """Fall as half a cosine over ``end`` steps or epochs."""
    factor = 1.0
    yield factor
    for step in range(1, end):
        now, before = (1 + math.cos(math.pi * s / end) for s in (step, step - 1))
        factor *= now / before
        yield factor


def multistep(end: int) -> Chain:
    factor = 1.0
    for epoch in range(end):
        factor *= 0.1 if epoch in (170, 200) else 1
        yield factor


def chained(warmup: Chain, main: Chain, epochs: int, per_epoch: int) -> list[float]:
    """Multiply a chain of steps by one of epochs."""
    stairs = [factor for factor in main for _ in range(per_epoch)]
    assert len(stairs) == epochs * per_epoch
    return [rise * factor for rise, factor in zip(warmup, stairs, strict=False)]


def official_pose(per_epoch: int) -> list[float]:
    return chained(linear(1e-3, 500), multistep(210), 210, per_epoch)


def official_dense(per_epoch: int) -> list[float]:
    return chained(linear(1e-3, 400), poly(200), 200, per_epoch)


def official_cihp(per_epoch: int) -> list[float]:
    return chained(linear(1e-3, 400), poly(400), 400, per_epoch)


def official_lip(per_epoch: int) -> list[float]:
    return chained(linear(1e-3, 400), cosine(400), 400, per_epoch)


def official_pretraining(per_epoch: int) -> list[float]:
    rise = linear(1e-4, 40 * per_epoch)
    return [next(rise) for _ in range(40 * per_epoch)] + list(cosine(1560 * per_epoch))


# experiment -> epochs, official rule, factors at chosen steps of a run of 100 steps per epoch
OFFICIAL: dict[str, tuple[int, Callable[[int], list[float]], dict[int, float]]] = {
    **dict.fromkeys(
        ("pose/coco17", "pose/wholebody133", "pose/goliath308"),
        (
            210,
            official_pose,
            {0: 0.001, 250: 0.501501, 499: 1, 500: 1, 16_999: 1, 17_000: 0.1, 19_999: 0.1,
             20_000: 0.01, 20_999: 0.01},
        ),
    ),
    **dict.fromkeys(
        ("segmentation/goliath28", "segmentation/face19", "depth/general", "depth/render_people",
         "normal/general", "normal/render_people"),
        (
            200,
            official_dense,
            {0: 0.001, 99: 0.248872, 100: 0.250113, 399: 0.984925, 400: 0.979899, 10_000: 0.497487,
             19_899: 0.005025, 19_900: 0, 19_999: 0},
        ),
    ),
    "segmentation/cihp20": (
        400,
        official_cihp,
        {0: 0.001, 399: 0.992481, 400: 0.989975, 20_000: 0.498747, 39_900: 0},
    ),
    "segmentation/lip20": (
        400,
        official_lip,
        {0: 0.001, 399: 0.999861, 400: 0.999753, 20_000: 0.5, 39_999: 0.000015},
    ),
    **dict.fromkeys(
        [f"pretrain/sapiens_{size}" for size in ("0.3b", "0.6b", "1b", "2b")],
        (
            1600,
            official_pretraining,
            {0: 0.0001, 2000: 0.500175, 3999: 1, 4000: 1, 82_000: 0.5, 159_999: 0},
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("experiment", OFFICIAL)
def test_official_experiments_have_the_official_factor_at_every_step(experiment: str) -> None:
    epochs, official, table = OFFICIAL[experiment]
    with composed(f"experiment={experiment}") as config:
        make = instantiate(config.scheduler, _convert_="all")
        assert config.trainer.max_epochs == epochs
    ours = factors(make, epochs * STEPS_PER_EPOCH)
    for step, expected in table.items():
        assert ours[step] == pytest.approx(expected, abs=1e-6), step
    assert ours == pytest.approx(official(STEPS_PER_EPOCH), abs=1e-7)
    assert factors(make, epochs * 37) == pytest.approx(official(37), abs=1e-7)  # another data set
