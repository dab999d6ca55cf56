"""What it costs to examine data: ``python benchmarks/examine_data.py [--images 10000]``.

Writes small images of noise, says that a million people stand on them, and examines them as a run
does before its first step and as `sapiens doctor` does, but for its limit of time: seconds, and
the memory that is needed beyond that of the annotations.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.examination.examine import FULL, QUICK, examine
from sapiens_lab.data.examination.remember import fingerprint
from sapiens_lab.data.sample import Sample

HEIGHT, WIDTH = 240, 320


class Crowd(Dataset):
    """Images in a folder, and people who are only numbers."""

    def __init__(self, paths: Sequence[Path], num_people: int) -> None:
        self.skeleton = Skeleton.load("coco17")
        self._paths = paths
        rng = np.random.default_rng(0)
        low = rng.uniform(10, [200, 100], (num_people, 2)).astype(np.float32)
        size = rng.uniform([40, 60], [100, 120], (num_people, 2)).astype(np.float32)
        points = np.empty((num_people, 17, 3), np.float32)
        points[..., :2] = rng.random((num_people, 17, 2), np.float32)
        points[..., :2] = low[:, None] + points[..., :2] * size[:, None]
        points[..., 2] = rng.integers(1, 3, (num_people, 17))
        self._people = Annotations(
            boxes=np.concatenate([low, low + size], 1),
            points=points,
            image_index=np.arange(num_people) % len(paths),
            name=str,
        )

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def image_paths(self) -> Sequence[Path]:
        """Return the images' files."""
        return self._paths

    def annotations(self) -> Annotations:
        """Return all people."""
        return self._people


class Peak:
    """The highest resident memory of this process during a block, above that at its beginning."""

    def __enter__(self) -> Peak:
        self._stop = threading.Event()
        self._began = self.highest = resident()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.highest = max(self.highest, resident())

    @property
    def added(self) -> int:
        """In bytes."""
        return self.highest - self._began


def resident() -> int:
    """Return the resident memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def write(root: Path, num: int) -> list[Path]:
    """Write images that all differ."""
    rng = np.random.default_rng(1)
    paths = []
    for i in range(num):
        blocks = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        paths.append(root / f"{i:06}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(blocks, (WIDTH, HEIGHT)))
    return paths


def main() -> None:
    """Examine a training set and a tenth of it for validation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), arguments.images)
        cut = arguments.images * 9 // 10
        datasets: dict[str, Dataset] = {
            "train": Crowd(paths[:cut], arguments.people * 9 // 10),
            "val": Crowd(paths[cut:], arguments.people // 10),
        }
        began = time.perf_counter()
        fingerprint(datasets, None)
        print(f"fingerprint, all that a second start pays: {time.perf_counter() - began:.2f} s")
        for name, budget in (("quick", QUICK), ("full", replace(FULL, seconds=inf))):
            with Peak() as peak:
                began, cpu = time.perf_counter(), time.process_time()
                found = examine(datasets, budget=budget)
            print(
                f"{name}: {time.perf_counter() - began:.1f} s (processor "
                f"{time.process_time() - cpu:.1f} s), {peak.added / 1e6:.0f} MB"
            )
            print("  " + "\n  ".join(found.coverage()))


if __name__ == "__main__":
    main()
