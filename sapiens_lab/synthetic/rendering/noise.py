"""Smooth pseudo-random fields from a few sine waves: cheap, differentiable, seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, Rng, along, product

_WAVES = 4  # an octave


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SineNoise:
    """A fixed field over ``D``-dimensional space; values about -1..1."""

    frequency: F32  # (D, N)
    phase: F32  # (N,)
    weight: F32  # (N,)

    @classmethod
    def draw(
        cls, rng: Rng, octaves: int, frequency: float | tuple[float, ...], *, dims: int = 3
    ) -> SineNoise:
        """Draw a field; ``frequency`` [rad per unit] of the lowest octave, one or per axis."""
        gain = np.repeat(2.0 ** np.arange(octaves), _WAVES)
        direction = rng.normal(size=(dims, octaves * _WAVES)) * gain
        scale = np.broadcast_to(np.asarray(frequency, np.float64), (dims,))[:, None]
        return cls(
            frequency=(direction * scale).astype(np.float32),
            phase=rng.uniform(0, 2 * np.pi, octaves * _WAVES).astype(np.float32),
            weight=(0.35 / gain).astype(np.float32),
        )

    def __call__(self, points: F32, *, smallest: float = 0.0) -> F32:
        """Evaluate at ``points (..., D)``, without details finer than ``smallest`` [units].

        Fading out waves that a pixel cannot resolve keeps textures from flickering.
        """
        weight = self.weight
        if smallest > 0:
            blur = np.linalg.norm(self.frequency, axis=0) * np.float32(smallest)
            weight = weight * np.exp(-0.5 * blur * blur)
        return along(np.sin(product(points, self.frequency) + self.phase), weight)
