"""Checks of depth: its unit, its direction, and values that are no measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sapiens_lab.data.checks.finding import Finding, Severity, of_items
from sapiens_lab.data.checks.maps import Look
from sapiens_lab.data.checks.silhouettes import outline

_NEAR, _FAR = 0.05, 100.0  # meters between which people are photographed
_DOUBTFUL = 40.0  # meters from which the unit is doubtful
_OTHER_UNIT = 8.0  # times as far, which sets of people are not from each other
_UNITS = {
    1e-3: "millimeters", 1.0: "meters", 1e-2: "centimeters", 1 / 256: "256ths of a meter",
    1e-4: "tenths of a millimeter", 1e3: "kilometers",
}  # fmt: skip
_LIKELY = 0.3, 20.0  # meters at which most people are photographed
_CONSTANT = 1e-6  # of the median, that a depth varies at least
_HUGE = 1e3  # times the median, that no measurement has
_INWARD = 0.4  # fraction of an outline that may come nearer toward its edge
_AGREE = 0.7  # of the maps that must say so
_NUM_MAPS = 3
_SCALE = 1.1  # logarithm of 3, times that depths of one kind of scene do not differ by
_SPREAD = 7.0  # median absolute differences (5 standard deviations) that they do not, either


def check_unit(looks: Sequence[Look], unit_m: float) -> Finding | None:
    """Find metric depths that no person is photographed at.

    Args:
        looks: maps [m].
        unit_m: meters of one stored unit, by which they were read.
    """
    medians = [float(np.median(look.values[look.valid])) for look in looks]
    middle = float(np.median(medians)) if medians else 1.0
    if _NEAR <= middle <= _DOUBTFUL:
        odd = [
            f"{look.name} ({median:g})"
            for look, median in zip(looks, medians, strict=True)
            if not middle / 30 < median < middle * 30
        ]
        what = f"of {len(looks)} maps have depths of another unit than the rest"
        return of_items("warning", odd, what, remedy="Convert them")
    span = f"{min(look.low for look in looks):g}..{max(look.high for look in looks):g}"
    likely = [
        f"data.train.unit_m={unit:g} reads {name} ({depth:.2g} m)"
        for unit, name in _UNITS.items()
        if _LIKELY[0] <= (depth := middle / abs(unit_m) * unit) <= _LIKELY[1] and unit != unit_m
    ]
    advice = f": {', '.join(likely)}" if likely else ", data.train.unit_m"
    return Finding(
        severity="error" if not _NEAR <= middle <= _FAR else "warning",
        what=f"depths of {span} m, {middle:g} m in the median, are not those of people",
        remedy=f"Say how many meters the stored number 1 is{advice}",
    )


def check_scale(looks: Sequence[Look], sources: Sequence[str]) -> list[Finding]:
    """Find metric maps, or all those of one source, on another scale than the rest.

    Args:
        looks: maps.
        sources: the folder, camera or video of each.
    """
    medians = np.log([max(float(np.median(look.values[look.valid])), 1e-9) for look in looks])
    names = np.array(sources)
    odd: list[str] = []
    for source in dict.fromkeys(sources):
        own, others = medians[names == source], medians[names != source]
        if min(len(own), len(others)) < _NUM_MAPS:
            continue
        factor = np.median(own) - np.median(others)
        is_apart = own.min() > others.max() or own.max() < others.min()
        if is_apart and abs(factor) > _SCALE:
            odd.append(f"{source} ({np.exp(factor):.3g} times as far)")
    remedy = "Were they saved in another unit, or by another camera? Convert them"
    found = of_items("warning", odd, "sources have depths on another scale", remedy=remedy)
    if found is not None or len(medians) < _NUM_MAPS:
        return [found] if found is not None else []
    apart = medians - np.median(medians)
    usual = _SPREAD * np.median(np.abs(apart))
    single = [
        f"{look.name} ({np.exp(change):.3g} times as far)"
        for look, change in zip(looks, apart, strict=True)
        if abs(change) > max(usual, _SCALE)
    ]
    what = f"of {len(looks)} maps have depths on another scale than the rest"
    found = of_items("warning", single, what, remedy="Convert them, or take them out")
    return [found] if found is not None else []


def check_same_unit(train: float, val: float) -> Finding | None:
    """Compare the medians [m] of a training and a validation set."""
    factor = max(train, val) / max(min(train, val), 1e-9)
    if not factor >= _OTHER_UNIT:  # NaN where nothing is known
        return None
    return Finding(
        severity="error" if factor > _OTHER_UNIT**2 else "warning",
        what=f"depths are {train:.3g} m in the median of the training and {val:.3g} m in that of "
        "the validation set",
        remedy="Are they stored in different units? Set data.train.unit_m and data.val.unit_m each",
    )


def check_constant(looks: Sequence[Look]) -> Finding | None:
    """Find maps with one depth everywhere."""
    flat = [look.name for look in looks if look.high - look.low <= _CONSTANT * abs(look.high)]
    severity: Severity = "error" if len(flat) == len(looks) else "warning"
    what = f"of {len(looks)} maps have the same depth everywhere"
    return of_items(severity, flat, what, remedy="Write them again, or take them out")


def check_huge(looks: Sequence[Look]) -> Finding | None:
    """Find depths so large that they stand for something else, such as the background."""
    faulty = []
    for look in looks:
        middle = float(np.median(np.abs(look.values[look.valid])))
        largest = max(abs(look.low), abs(look.high))
        if largest > _HUGE * max(middle, 1e-12):
            faulty.append(f"{look.name} (up to {largest:g}, {middle:g} in the median)")
    what = f"of {len(looks)} maps have depths that are no measurements"
    remedy = "Say which stored numbers mean that nothing was measured, data.train.invalid=[0,1e10]"
    return of_items("error", faulty, what, remedy=f"{remedy}, or give masks")


def check_direction(looks: Sequence[Look]) -> Finding | None:
    """Find inverse depth: a body comes nearer toward its outline instead of turning away."""
    votes = [vote for look in looks if (vote := _is_inverse(look)) is not None]
    if len(votes) < _NUM_MAPS or np.mean(votes) < _AGREE:
        return None
    return Finding(
        severity="warning",
        what=f"{sum(votes)} of {len(votes)} maps are larger where the person is nearer",
        count=sum(votes),
        remedy="Is it disparity or inverse depth? Set data.train.larger_is_farther=false; negative "
        "depths need a negative data.train.unit_m",
    )


def _is_inverse(look: Look) -> bool | None:
    """Return whether a map seems to be inverse; ``None`` if it does not tell."""
    found = outline(look.valid)
    if found is None:
        return _is_middle_far(look)
    ring, out = found
    values = np.where(look.valid, look.values, np.nan)
    down, across = np.gradient(values)
    outward = (across * out[..., 0] + down * out[..., 1])[ring]
    outward = outward[np.isfinite(outward) & (outward != 0)]
    if len(outward) < 20:
        return None
    return bool((outward > 0).mean() < _INWARD)


def _is_middle_far(look: Look) -> bool | None:
    """Compare the middle of a map that is valid throughout with its upper edge, the background."""
    height, width = look.valid.shape
    if look.valid.mean() < 0.9 or min(height, width) < 8:
        return None
    middle = look.values[height // 3 : -height // 3, width // 3 : -width // 3]
    top = look.values[: height // 6]
    span = float(np.ptp(look.values[look.valid]))
    difference = float(np.median(middle) - np.median(top))
    return difference > 0.2 * span if abs(difference) > 0.2 * span else None
