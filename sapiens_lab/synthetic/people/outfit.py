"""Draw what a person wears, and say where on the body each garment reaches.

The reach of a garment is a field over the vertices in meters: positive on the garment, zero at
its hems. See ``regions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.people.regions import Regions
from sapiens_lab.synthetic.rendering.arrays import F32, Rng

BottomKind = Literal["long", "short", "skirt", "brief"]
Extra = Literal["none", "gloves", "band", "beanie"]
_LEG, _ARM = 0.85, 0.55  # [m] lengths behind the leg and arm coordinates
_OFF = np.float32(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """What is worn, and how far it reaches."""

    top: bool
    sleeve: float  # arm coordinate
    hem_y: float  # [m] canonical
    collar_y: float  # [m] canonical, at the side of the neck
    scoop: float  # [m] how much lower the collar is in front
    top_ease: float  # [m] distance from the body
    bottom: BottomKind
    leg_end: float  # leg coordinate
    skirt_end: float  # leg coordinate
    waist_y: float  # [m] canonical
    bottom_ease: float  # [m]
    tucked: bool  # the top into the bottom
    shoes: bool
    socks: bool
    sock_top: float  # leg coordinate
    extra: Extra
    extra_left: bool  # the band is on the left wrist


def sample_outfit(rng: Rng, regions: Regions, *, femininity: float) -> Outfit:
    """Draw an outfit; ``femininity`` 0..1 is the body's."""
    female = femininity > 0.5
    probabilities = (0.5, 0.25, 0.15, 0.10) if female else (0.5, 0.27, 0.0, 0.23)
    kinds: tuple[BottomKind, ...] = ("long", "short", "skirt", "brief")
    bottom = kinds[int(rng.choice(4, p=probabilities))]
    ends = {"long": (0.86, 1.0), "short": (0.2, 0.55), "skirt": (0.16, 0.16), "brief": (0.13, 0.17)}
    sleeve = float(rng.choice([0.06, 0.28, 0.42, 0.88, 0.95], p=[0.12, 0.33, 0.1, 0.15, 0.3]))
    topless = rng.random() < 0.2 and femininity < 0.15
    extras: tuple[Extra, ...] = ("none", "gloves", "band", "beanie")
    return Outfit(
        top=not topless,
        sleeve=sleeve,
        hem_y=regions.hip_y + rng.uniform(-0.06, 0.05),
        collar_y=regions.neck_y - rng.uniform(-0.015, 0.035),
        scoop=rng.uniform(0.02, 0.09),
        top_ease=0.007 + rng.uniform(0, 0.018),
        bottom=bottom,
        leg_end=rng.uniform(*ends[bottom]),
        skirt_end=rng.uniform(0.3, 0.8),
        waist_y=regions.hip_y + (0.13 if bottom == "skirt" else rng.uniform(0.06, 0.13)),
        bottom_ease=0.004 if bottom in ("brief", "skirt") else 0.005 + rng.uniform(0, 0.014),
        tucked=rng.random() < 0.4 or bottom == "skirt",  # whose waist reaches the hem of the top
        shoes=rng.random() < 0.75,
        socks=rng.random() < 0.6,
        sock_top=rng.uniform(0.55, 0.93),
        extra=extras[int(rng.choice(4, p=(0.66, 0.12, 0.12, 0.10)))],
        extra_left=rng.random() < 0.7,
    )


def top_reach(outfit: Outfit, regions: Regions, canonical: F32) -> F32:
    """Return the field ``(V,)`` of the upper garment."""
    if not outfit.top:
        return np.full(len(regions.y), _OFF)
    x, z = np.abs(canonical[:, 0]), canonical[:, 2]
    off_arm = 0.4 * np.clip((0.55 - regions.arm_weight) / 0.3, 0, 1)  # the trunk has no sleeve end
    sleeve = _ARM * (outfit.sleeve - regions.arm) + off_arm
    sleeve = np.where(regions.arm_weight > 0.02, sleeve, 1)
    front = 1 / (1 + np.exp(-(z - 0.03) / 0.012))
    dip = outfit.scoop * np.exp(-((x / 0.075) ** 2)) * front
    collar = outfit.collar_y + 0.02 + 0.15 * np.clip(x, 0, 0.2) - dip - regions.y
    hem = regions.y - outfit.hem_y
    return np.asarray(np.minimum.reduce([sleeve, hem + 0.5 * regions.arm_weight, collar]))


def bottom_reach(outfit: Outfit, regions: Regions) -> F32:
    """Return the field ``(V,)`` of trousers, shorts or briefs."""
    field = np.minimum(_LEG * (outfit.leg_end - regions.leg), outfit.waist_y - regions.y)
    return np.asarray(np.where(regions.arm_weight > 0.3, _OFF, field))


def skirt_hides(outfit: Outfit, regions: Regions) -> F32:
    """Return the field ``(V,)`` of the legs that a skirt hides; knees would bore through it."""
    if outfit.bottom != "skirt":
        return np.full(len(regions.y), _OFF)
    field = np.minimum(_LEG * (outfit.skirt_end - 0.08 - regions.leg), regions.leg)
    return np.asarray(np.where(regions.arm_weight > 0.3, _OFF, field))


def layered(outfit: Outfit, top: F32, bottom: F32, regions: Regions) -> tuple[F32, F32]:
    """Hide the inner of two overlapping garments, except for a margin below the outer hem."""
    margin = np.float32(0.03)
    if outfit.top and outfit.tucked:
        inner = np.minimum(top, margin - bottom)
        return np.where(regions.arm_weight < 0.3, inner, top), bottom
    return top, np.minimum(bottom, margin - top) if outfit.top else bottom


def shoe_reach(regions: Regions) -> F32:
    """Return the field ``(V,)`` of both shoes."""
    return np.where(regions.leg > 0.6, _LEG * (regions.leg - 0.955), _OFF)


def sock_reach(outfit: Outfit, regions: Regions) -> F32:
    """Return the field ``(V,)`` of both socks."""
    return np.where(regions.leg > 0.4, _LEG * (regions.leg - outfit.sock_top), _OFF)


def extra_reach(outfit: Outfit, regions: Regions, canonical: F32) -> F32:
    """Return the field ``(V,)`` of gloves, a wrist band or a beanie."""
    if outfit.extra == "gloves":
        return np.where(regions.arm > 0.5, _ARM * (regions.arm - 0.97), _OFF)
    if outfit.extra == "band":
        wrist = _ARM * (0.028 - np.abs(regions.arm - 0.95))
        own_side = (canonical[:, 0] > 0) == outfit.extra_left
        return np.asarray(np.where(own_side & (regions.arm > 0.5), wrist, _OFF))
    if outfit.extra == "beanie":
        edge = 0.915 + 0.25 * (canonical[:, 2] - 0.15)  # lower at the back of the head
        return np.where(regions.hairline > -0.5, regions.y - edge, _OFF)
    return np.full(len(regions.y), _OFF)
