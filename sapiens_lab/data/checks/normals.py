"""Checks of normal maps: length, and which axis is which, told by surfaces and outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks.finding import Finding, Severity, of_items
from sapiens_lab.data.checks.maps import Look
from sapiens_lab.data.checks.silhouettes import outline

# For each of our axes (x right, y down, z away) the stored number that is it, and its sign.
Axes = tuple[tuple[int, int, int], tuple[int, int, int]]
Name = Callable[[Axes], str]  # the setting of a dataset that reads files so

_MAX_MISFIT = 0.1  # median difference of the length from 1
_MARGIN = 0.25  # by which another setting must explain a dataset better
_MARGIN_SINGLE = 0.2  # and a single map
_AGREE = 0.7  # of the samples that must say so
_FLAT = 0.02  # standard deviation of the vectors of a map that shows one plane


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How much each stored number (columns) acts as each of our axes (rows), -1..1."""

    table: NDArray[np.float64]  # (3, 3)
    has_outline: bool  # so that x and y can be told

    def score(self, axes: Axes) -> float:
        """Return how well a setting explains a map."""
        order, signs = axes
        rows = range(3) if self.has_outline else (2,)
        return float(sum(signs[a] * self.table[a, order[a]] for a in rows))


def check_length(looks: Sequence[Look]) -> list[Finding]:
    """Find vectors that are not of unit length, in all maps or in single ones."""
    lengths = [np.linalg.norm(look.values[look.valid], axis=-1) for look in looks]
    misfits = [float(np.median(np.abs(length - 1))) for length in lengths]
    bad = [i for i, misfit in enumerate(misfits) if misfit > _MAX_MISFIT]
    if not bad:
        return []
    median = np.median([np.median(lengths[i]) for i in bad])
    lowest = min(float(looks[i].values[looks[i].valid].min()) for i in bad)
    remedy = (
        "No number is negative: are they (n + 1) / 2? Subtract a half and double them"
        if lowest >= 0
        else "Are they normals, and does a mask leave the background out?"
    )
    what = (
        f"of {len(looks)} maps have vectors that are not of unit length: their median length is "
        f"{median:.2f}"
    )
    found = of_items("error", (looks[i].name for i in bad), what, remedy=remedy)
    return [found] if found else []


def check_flat(looks: Sequence[Look]) -> Finding | None:
    """Find maps whose vectors are all the same."""
    flat = [look.name for look in looks if look.values[look.valid].std(0).max() < _FLAT]
    severity: Severity = "error" if len(flat) == len(looks) else "warning"
    what = f"of {len(looks)} maps have one direction everywhere"
    return of_items(severity, flat, what, remedy="A person's surface has many; write them again")


def check_axes(looks: Sequence[Look], given: Axes, name: Name) -> Finding | None:
    """Find a setting that shows the surface from behind or has x or y the wrong way round.

    What a camera sees faces it, and at the left edge of a person normals point left, at its top
    up: so every axis can be told where maps have an outline.

    Args:
        looks: maps as stored.
        given: the setting that the dataset is read by.
        name: how a setting is written; empty if it cannot be.
    """
    evidence = [find_evidence(look) for look in looks]
    if not evidence:
        return None
    best = best_axes(evidence, given)
    if best == given:
        return _check_single(looks, evidence, given)
    gains = np.array([e.score(best) - e.score(given) for e in evidence])
    if np.mean(gains > 0) < _AGREE or np.median(gains) < _MARGIN:
        return _check_single(looks, evidence, given)
    facing = float(np.mean([_facing(look, given) for look in looks]))
    with_outline = any(e.has_outline for e in evidence)
    is_certain = facing < 0.5 or with_outline
    what = f"with {name(given)}, only {facing:.0%} of the surface faces the camera"
    if facing >= 0.5:
        what = f"with {name(given)}, normals at the edges of people point inward along x or y"
    remedy = f"{name(best)} would make it {np.mean([_facing(k, best) for k in looks]):.0%}"
    if not with_outline:
        remedy += (
            ", as would others that differ in x and y: without masks these cannot be told. Look "
            "at a map: x must point right and y down"
        )
    return Finding(
        severity="error" if is_certain else "warning",
        what=what,
        remedy=remedy if facing < 0.5 else f"{name(best)} fits",
    )


def find_evidence(look: Look) -> Evidence:
    """Return what a map tells about its axes."""
    vectors = look.values
    table = np.zeros((3, 3))
    table[2] = -vectors[look.valid].mean(0)
    found = outline(look.valid)
    if found is not None:
        ring, out = found
        table[:2] = np.einsum("na,nb->ab", out[ring], vectors[ring]) / max(1, int(ring.sum())) * 2
    return Evidence(table, found is not None)


def best_axes(evidence: Sequence[Evidence], given: Axes) -> Axes:
    """Return the setting that explains most maps best; the given one if it is as good."""
    every: list[Axes] = [
        ((x, y, z), (right, down, away))
        for x, y, z in permutations(range(3))
        for right, down, away in product((1, -1), repeat=3)
    ]  # fmt: skip
    scores = {axes: float(np.mean([e.score(axes) for e in evidence])) for axes in every}
    if not any(e.has_outline for e in evidence):  # change no more than is known
        every.sort(key=lambda axes: sum(a != b for a, b in zip(axes[1], given[1], strict=True))
                   + 2 * (axes[0] != given[0]))  # fmt: skip
    best = max(every, key=lambda axes: round(scores[axes], 3))
    return given if scores[given] >= scores[best] - 1e-3 else best


def _check_single(
    looks: Sequence[Look], evidence: Sequence[Evidence], given: Axes
) -> Finding | None:
    """Find single maps in another frame than the rest."""
    odd = []
    for look, found in zip(looks, evidence, strict=True):
        best = best_axes([found], given)
        is_behind = _facing(look, given) < 0.4 and _facing(look, best) > 0.6
        is_turned = found.has_outline and found.score(best) - found.score(given) > _MARGIN_SINGLE
        if is_behind or is_turned:
            odd.append(look.name)
    what = f"of {len(looks)} maps are in another frame than the rest"
    return of_items("error", odd, what, remedy="Convert them, or take them out")


def _facing(look: Look, axes: Axes) -> float:
    order, signs = axes
    z = signs[2] * look.values[look.valid][:, order[2]]
    return float((z < 0).mean())
