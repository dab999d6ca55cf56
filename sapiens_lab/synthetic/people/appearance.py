"""Draw colors: skin, hair, eyes, cloth and its pattern. Linear RGB, about 0..1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, Rng
from sapiens_lab.synthetic.rendering.colors import mute
from sapiens_lab.synthetic.rendering.noise import SineNoise

PatternKind = Literal["plain", "stripes", "checks", "spots"]
_PATTERNS: tuple[PatternKind, ...] = ("plain", "stripes", "checks", "spots")
_SKINS = np.array(
    [
        [0.925, 0.76, 0.66], [0.87, 0.686, 0.57], [0.776, 0.573, 0.44], [0.66, 0.455, 0.32],
        [0.50, 0.33, 0.227], [0.36, 0.227, 0.157], [0.25, 0.165, 0.125],
    ]
)  # fmt: skip
_HAIRS = np.array(
    [
        [0.06, 0.045, 0.04], [0.16, 0.10, 0.06], [0.32, 0.20, 0.10],
        [0.62, 0.46, 0.26], [0.45, 0.45, 0.46], [0.40, 0.13, 0.06],
    ]
)  # fmt: skip
_HAIR_PROBABILITIES = (0.35, 0.25, 0.18, 0.10, 0.08, 0.04)
_EYES = np.array([[0.25, 0.15, 0.08], [0.2, 0.35, 0.5], [0.25, 0.4, 0.25], [0.1, 0.07, 0.05]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cloth:
    """Two colors and how they alternate over the canonical body."""

    color: F32  # (3,)
    second: F32  # (3,)
    pattern: PatternKind
    frequency: float  # [rad/m]
    angle: float  # of stripes [rad]
    phase: float
    level: float  # fraction of the second color, as a threshold in -1..1
    spots: SineNoise

    def paint(self, canonical: F32) -> F32:
        """Return colors ``(N, 3)`` at canonical points ``(N, 3)``."""
        x, y = canonical[:, 0], canonical[:, 1]
        if self.pattern == "plain":
            return np.broadcast_to(self.color, canonical.shape)
        if self.pattern == "stripes":
            along = x * np.cos(self.angle) + y * np.sin(self.angle)
            second = np.sin(along * self.frequency + self.phase) > self.level
        elif self.pattern == "checks":
            second = 0.5 * np.add(np.sin(x * self.frequency) > 0, np.sin(y * self.frequency) > 0)
        else:
            second = self.spots(canonical) > 0.15
        fraction = second.astype(np.float32)[:, None]
        return np.asarray(self.color * (1 - fraction) + self.second * fraction, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Appearance:
    """The colors of one person."""

    skin: F32  # (3,)
    hair: F32  # (3,)
    eye: F32  # (3,) iris
    lip: float  # 0..1 how red
    brow: float  # 0..1 how dark
    beard: float  # 0 none .. 1 full
    top: Cloth
    bottom: Cloth
    shoe: F32  # (3,)
    sock: F32  # (3,)
    apparel: F32  # (3,)
    strands: SineNoise  # of hair, over the angle around the head [rad]


def sample_appearance(rng: Rng, *, female: bool, ancestry: F32) -> Appearance:
    """Draw colors; ``ancestry (3,)`` are the asset's african, asian and caucasian fractions."""
    top = _cloth(rng, (0.45, 0.25, 0.15, 0.15), bright=True)
    bottom = _cloth(rng, (0.8, 0.08, 0.06, 0.06), bright=False)
    beard = rng.uniform(0.4, 1.0) if rng.random() < 0.35 else 0.0
    lip = rng.uniform(0.1, 0.5) if female else rng.uniform(0.05, 0.15)
    return Appearance(
        skin=_skin(rng, ancestry),
        hair=_f32(
            _HAIRS[int(rng.choice(len(_HAIRS), p=_HAIR_PROBABILITIES))] * rng.uniform(0.8, 1.2)
        ),
        eye=_f32(_EYES[int(rng.integers(len(_EYES)))]),
        lip=lip,
        brow=rng.uniform(0.4, 0.9),
        beard=0.0 if female else beard,
        top=top,
        # A dress is a top and a skirt of one fabric.
        bottom=top if female and rng.random() < 0.15 else bottom,
        shoe=mute(rng, rng.uniform(0.02, 0.9, 3)),
        sock=mute(rng, rng.uniform(0.05, 0.95, 3)),
        apparel=mute(rng, rng.uniform(0.02, 0.9, 3)),
        strands=SineNoise.draw(rng, 3, 35.0, dims=1),
    )


def _skin(rng: Rng, ancestry: F32) -> F32:
    african, asian, _ = ancestry
    tone = int(np.clip(np.floor(rng.uniform(0, 3) + 4 * african), 0, 6))
    light, dark = int(rng.integers(0, 4)), int(rng.integers(3, 7))
    tone = dark if african > 0.5 else light if asian > 0.5 else tone
    return _f32(_SKINS[tone] * rng.uniform(0.9, 1.08))


def _cloth(rng: Rng, probabilities: tuple[float, ...], *, bright: bool) -> Cloth:
    color, second = mute(rng, rng.uniform(0.03, 0.95, (2, 3)))
    dim = rng.uniform(0.3, 0.8)
    return Cloth(
        color=color if bright else _f32(color * dim),
        second=second,
        pattern=_PATTERNS[int(rng.choice(4, p=probabilities))],
        frequency=rng.uniform(30, 140),
        angle=rng.uniform(0, np.pi) if rng.random() < 0.4 else np.pi / 2,
        phase=rng.uniform(0, 6),
        level=rng.uniform(-0.4, 0.6),
        spots=SineNoise.draw(rng, 2, 25.0),
    )


def _f32(values: np.ndarray) -> F32:
    return np.asarray(values, np.float32)
