"""Random colors as they are in the world: mostly rather gray."""

from __future__ import annotations

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, Rng


def mute(rng: Rng, colors: np.ndarray) -> F32:
    """Draw a saturation, one for all colors ``(..., 3)``, and return the colors with it."""
    gray = colors.mean(-1, keepdims=True)
    return np.asarray(gray + (colors - gray) * rng.uniform(0.1, 1.0), np.float32)
