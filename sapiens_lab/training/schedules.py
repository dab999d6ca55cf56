"""Learning-rate schedules: a linear warm-up times a cosine, a polynomial or steps.

Lengths are fractions of the run, so a recipe keeps its shape when the run gets longer or shorter.
The official recipes (sapiens_v1 reference, section 7.3) warm up for a number of steps, and their
dense tasks change the rate once per epoch: ``num_epochs`` reproduces that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from sapiens_lab.ranges import BelowOne, Count, NonNegative, Positive


def warmup_cosine(
    optimizer: Optimizer,
    *,
    num_steps: int,
    warmup: NonNegative = 0.05,
    warmup_start: BelowOne = 1e-3,
    final: BelowOne = 0.0,
    num_epochs: Count | None = None,
) -> LambdaLR:
    """Rise linearly, then fall as a half cosine to ``final`` of the learning rate.

    Args:
        optimizer: its groups keep their ratios.
        num_steps: optimizer steps of the whole run.
        warmup: below 1 a fraction of the run, from 1 on a number of steps.
        warmup_start: factor of the first step; the last step of the warm-up has factor 1.
        final: factor at the end of the run.
        num_epochs: ``None`` falls with every step, from the end of the warm-up. A number of epochs
            falls at the start of every epoch, from the start of the run, while the rate still
            rises (official LIP recipe).

    Raises:
        ValueError: the warm-up is negative or takes more than half of the run.
    """
    warmup_steps = _warmup_steps(warmup, num_steps)

    def main(step: int) -> float:
        if num_epochs is None:
            done = max(0, step - warmup_steps) / max(1, num_steps - warmup_steps)
        else:
            done = _epoch(step, num_steps, num_epochs) / num_epochs
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return _with_warmup(optimizer, warmup_steps, warmup_start, main)


def warmup_poly(
    optimizer: Optimizer,
    *,
    num_steps: int,
    warmup: NonNegative = 0.05,
    warmup_start: BelowOne = 1e-3,
    power: Positive = 1.0,
    num_epochs: Count | None = None,
) -> LambdaLR:
    """Rise linearly while falling as ``(1 - fraction of the run) ** power``.

    Args:
        optimizer: its groups keep their ratios.
        num_steps: optimizer steps of the whole run.
        warmup: below 1 a fraction of the run, from 1 on a number of steps.
        warmup_start: factor of the first step; the last step of the warm-up has factor 1.
        power: 1 falls in a straight line.
        num_epochs: ``None`` falls with every step. A number of epochs ``E`` falls at the start of
            every epoch ``e = 0 .. E - 1``, as ``(1 - e / (E - 1)) ** power``: the last epoch has
            factor 0 (official recipes of dense tasks).

    Raises:
        ValueError: the warm-up is negative or takes more than half of the run.
    """

    def main(step: int) -> float:
        if num_epochs is None:
            done = step / num_steps
        else:
            done = _epoch(step, num_steps, num_epochs) / max(1, num_epochs - 1)
        return float(max(0.0, 1 - done) ** power)

    return _with_warmup(optimizer, _warmup_steps(warmup, num_steps), warmup_start, main)


def warmup_multistep(
    optimizer: Optimizer,
    *,
    num_steps: int,
    warmup: NonNegative = 0.05,
    warmup_start: BelowOne = 1e-3,
    milestones: Sequence[float | str] = ("170/210", "200/210"),
    gamma: NonNegative = 0.1,
) -> LambdaLR:
    """Rise linearly, then drop by ``gamma`` at each fraction of the run in ``milestones``.

    Args:
        optimizer: its groups keep their ratios.
        num_steps: optimizer steps of the whole run.
        warmup: below 1 a fraction of the run, from 1 on a number of steps.
        warmup_start: factor of the first step; the last step of the warm-up has factor 1.
        milestones: as numbers or, exactly, as text: ``"170/210"`` is the start of epoch 170 of 210.
        gamma: factor of every drop.

    Raises:
        ValueError: the warm-up is negative or takes more than half of the run, or a milestone is
            not a fraction between 0 and 1.
    """
    drops = [_milestone_step(milestone, num_steps) for milestone in milestones]

    def main(step: int) -> float:
        return float(gamma ** sum(step >= drop for drop in drops))

    return _with_warmup(optimizer, _warmup_steps(warmup, num_steps), warmup_start, main)


def _milestone_step(milestone: float | str, num_steps: int) -> int:
    """Return the first step after a fraction of the run, in exact arithmetic."""
    try:
        fraction = Fraction(str(milestone))
    except (ValueError, ZeroDivisionError):
        fraction = Fraction(0)
    if not 0 < fraction < 1:
        raise ValueError(
            "scheduler.milestones are fractions of the run between 0 and 1, e.g. 0.8 or 170/210, "
            f"not {milestone!r}"
        )
    return math.ceil(fraction * num_steps)


def _epoch(step: int, num_steps: int, num_epochs: int) -> int:
    """Return the epoch of a step; all epochs of a run have the same number of steps."""
    return min(step * num_epochs // num_steps, num_epochs - 1)


def _warmup_steps(warmup: NonNegative, num_steps: int) -> int:
    if warmup < 0:
        raise ValueError(
            f"scheduler.warmup={warmup} must not be negative: a number below 1 is a fraction of "
            "the run, from 1 on a number of steps, 0 turns the warm-up off"
        )
    steps = round(warmup * num_steps) if warmup < 1 else int(warmup)
    if steps > num_steps / 2:
        raise ValueError(
            f"a warm-up of {steps} steps takes more than half of this run of {num_steps}; "
            "shorten it (scheduler.warmup=0.05 is 5 % of the run) or train longer"
        )
    return steps


def _with_warmup(
    optimizer: Optimizer, warmup_steps: int, start: float, main: Callable[[int], float]
) -> LambdaLR:
    """Multiply a schedule by a linear rise that ends with the last of ``warmup_steps``."""

    def factor(step: int) -> float:
        rise = min(1.0, step / max(1, warmup_steps - 1)) if warmup_steps else 1.0
        return (start + (1 - start) * rise) * main(step)

    return LambdaLR(optimizer, factor)
