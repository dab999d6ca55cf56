"""Examine training and validation set: all annotations, and of images what the time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sapiens_lab.data.checks.finding import Finding
from sapiens_lab.data.checks.statistics import Statistics
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.examination.collect import collect
from sapiens_lab.data.examination.collected import Collected
from sapiens_lab.data.examination.judge import judge_both, judge_split

BOTH = "train and val"  # whose findings are about both sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much is read."""

    seconds: float  # for images and maps; annotations are always read whole
    images: int  # of a split, at most
    maps: int  # of a split, at most


FULL = Budget(seconds=20.0, images=20_000, maps=500)
QUICK = Budget(seconds=3.0, images=300, maps=48)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found and counted."""

    findings: Mapping[str, Sequence[Finding]]  # by split, or ``BOTH``; errors first
    statistics: Mapping[str, Statistics] = field(default_factory=dict)  # by split

    def coverage(self) -> list[str]:
        """Say for each split how much of it was looked at."""
        return [_covered(split, counted) for split, counted in self.statistics.items()]


def examine(
    datasets: Mapping[str, Dataset],
    *,
    budget: Budget = FULL,
    step: Callable[[], None] = lambda: None,
) -> Examination:
    """Look for faults, and for what smells of one, in datasets as a ``DataModule`` builds them.

    Args:
        datasets: ``train`` and ``val``, or one of them.
        budget: how much is read. Images are visited in an order that is spread over the whole set
            wherever it ends.
        step: called after every image, for a progress bar.
    """
    clock = _Clock(budget.seconds)
    collected: dict[str, Collected] = {}
    # The smaller set first, so that what is left of its time goes to the larger one.
    for place, split in enumerate(sorted(datasets, key=lambda name: len(datasets[name]))):
        until = clock.part((place + 1) / len(datasets))
        collected[split] = collect(
            datasets[split], images=budget.images, maps=budget.maps, until=until, step=step
        )
    collected = {split: collected[split] for split in datasets}
    findings = {split: _sorted(judge_split(found)) for split, found in collected.items()}
    if set(collected) >= {"train", "val"}:
        findings[BOTH] = _sorted(judge_both(collected["train"], collected["val"]))
    return Examination(
        findings=findings,
        statistics={split: found.statistics() for split, found in collected.items()},
    )


class _Clock:
    def __init__(self, seconds: float) -> None:
        self._began, self._seconds = time.monotonic(), seconds

    def part(self, fraction: float) -> float:
        """Return when a fraction of the time is over."""
        return self._began + fraction * self._seconds


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _covered(split: str, counted: Statistics) -> str:
    parts = [f"{counted.num_samples:,} samples"]
    if counted.num_people:
        parts.append(f"annotations of {counted.num_people:,} people")
    parts.append(f"{counted.num_read:,} of {counted.num_images:,} images read")
    if counted.num_maps:
        parts.append(f"{counted.num_maps:,} maps")
    return f"{split}: {', '.join(parts)}"
