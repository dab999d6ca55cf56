"""``Dataset``: samples by index, and what a task may ask of the set they come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.finding import Finding
from sapiens_lab.data.sample import Sample


class PixelCounts(NamedTuple):
    """How many pixels each class has, and in how many label maps they were counted."""

    pixels: NDArray[np.int64]  # (256,) by class id
    num_maps: int


@runtime_checkable
class Dataset(Protocol):
    """Samples in the source frame, by index.

    Subclass it and write ``__len__`` and ``__getitem__``; the rest has defaults that mean "this
    dataset has none". ``__getitem__`` raises ``ValueError`` or ``FileNotFoundError`` for a sample
    whose files are damaged: whether that stops the run is decided in ``loading.py``.

    Attributes:
        skeleton: of the keypoints.
        parts: the classes of the label maps.
        group_sizes: numbers of samples that are best read together, in the dataset's order.
    """

    skeleton: Skeleton | None = None
    parts: Parts | None = None
    group_sizes: Sequence[int] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return a sample in the source frame."""

    def prepare(self, num_workers: int) -> None:
        """Do what is needed once before training: render, index.

        Called in one process only, and again in later runs: do what is missing.
        """
        return

    def image_paths(self) -> Sequence[Path]:
        """Return the images' files, each once or more, if they are files of their own."""
        return ()

    def annotation_paths(self) -> Sequence[Path]:
        """Return the files of the annotations, each once or more."""
        return ()

    def annotations(self) -> Annotations | None:
        """Return all people at once, with their boxes and keypoints, if they are known unread."""
        return None

    def differences(self, val: Dataset) -> Sequence[Finding | None]:
        """Compare a training set with its validation set, without reading their files again."""
        return ()

    def image_id(self, index: int) -> int:
        """Return the ``meta.image_id`` of a sample, without reading its files."""
        return index

    def ground_truth(self) -> dict[str, Any]:
        """Return the annotated people as a COCO dictionary, against which AP is measured."""
        raise ValueError(f"{type(self).__name__} has no ground truth, against which AP is measured")

    def count_pixels(self, limit: int | None = 1000) -> PixelCounts:
        """Count the pixels of each class in at most ``limit`` label maps; ``None`` reads all."""
        raise ValueError(f"{type(self).__name__} has no label maps whose pixels could be counted")


DatasetFactory = Callable[[], Dataset]
