"""Independent random numbers for each aspect of a scene.

Every aspect draws from its own generator, so that another camera or image size changes nothing
else, and a new draw in one aspect leaves the others as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import Rng

Seed = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Streams:
    """A scene's seed; ``get`` makes a fresh generator for a named aspect."""

    seed: Seed

    def get(self, name: str) -> Rng:
        """Return the generator of one aspect."""
        seed = (self.seed,) if isinstance(self.seed, int) else tuple(self.seed)
        return np.random.default_rng([*seed, zlib.crc32(name.encode())])
