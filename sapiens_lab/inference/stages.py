"""``Stages``: how long each stage of a prediction took, and which one is the bottleneck."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

READ, DETECT, CROP = "reading", "detection", "cropping"
NETWORK, TO_SOURCE, WRITE = "network", "upsampling", "writing"
_IN_THREADS = {READ, CROP, TO_SOURCE, WRITE}  # the others run one at a time


@dataclass(slots=True)
class Stages:
    """Seconds of every stage, summed over threads."""

    num_threads: int = 1
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def summary(self) -> str:
        """Return the seconds of every stage in one line, and the stage that limits the others."""
        order = (READ, DETECT, CROP, NETWORK, TO_SOURCE, WRITE)
        spent = {stage: self.seconds[stage] for stage in order if self.seconds.get(stage)}
        if not spent:
            return "nothing was predicted"
        slowest = max(spent, key=lambda stage: spent[stage] / self._threads(stage))
        line = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in spent.items())
        return f"{line}; the bottleneck is {slowest}"

    def _threads(self, stage: str) -> int:
        return max(1, self.num_threads) if stage in _IN_THREADS else 1
