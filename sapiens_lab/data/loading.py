"""Which sample comes when, and with which random numbers.

Order and augmentation depend on (seed, epoch, index) alone: not on the number of workers, not on
what ran before. So a run can be stopped anywhere and continued exactly, and two processes see
together what one would see alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from sapiens_lab.data.checks.finding import OnError
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.images import CorruptImageError
from sapiens_lab.data.sample import Dropped, Sample
from sapiens_lab.data.transforms import Transform

log = logging.getLogger(__name__)

MAX_REJECTED = 50  # draws in a row before the transforms are taken to reject everything
WINDOW = 16  # groups of samples that are shuffled together


class Key(NamedTuple):
    """What a sampler asks a dataset for."""

    epoch: int
    place: int  # index into the dataset


class TransformedDataset(TorchDataset[Sample | Dropped]):
    """A dataset seen through transforms, each draw with a generator of its own.

    A sample is lost if its files are damaged and ``on_error`` is ``skip``, or if a transform
    rejects it. In training another draw takes its place; in evaluation nothing may be counted
    twice, so it is ``Dropped``.

    Args:
        dataset: yields source-frame samples by index.
        transforms: applied in order.
        seed: of the run.
        limit: use only the first so many samples.
        on_error: ``skip`` logs a sample whose files are damaged, once, and goes on.
        redraw: replace a lost sample by another draw.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        transforms: Iterable[Transform],
        seed: int = 0,
        limit: int | None = None,
        on_error: OnError = "raise",
        redraw: bool = False,
    ) -> None:
        # Before any worker is forked: OpenCV's pool of threads does not survive a fork.
        cv2.setNumThreads(1)
        self.dataset = dataset
        self.transforms: Sequence[Transform] = tuple(transforms)
        self.seed = seed
        self.limit = limit
        self.on_error = on_error
        self.redraw = redraw
        self._named: set[int] = set()  # already logged by this process

    def __len__(self) -> int:
        length = len(self.dataset)
        return length if self.limit is None else min(length, self.limit)

    def __getitem__(self, key: Key) -> Sample | Dropped:
        """Return the draw of a key; ``Dropped`` if it is lost and not to be replaced.

        Raises:
            FileNotFoundError, ValueError: its files cannot be read and ``on_error`` is ``raise``;
                names them.
            ValueError: too many draws in a row were lost.
        """
        rng = np.random.default_rng([self.seed, key.epoch, key.place])
        index = key.place
        for _ in range(MAX_REJECTED if self.redraw else 1):
            sample, reason = self._draw(index, rng)
            if sample is not None:
                return sample
            if index not in self._named and (reason or not self.redraw):
                self._named.add(index)
                log.warning("skipped: %s", reason or f"sample {index}, rejected by the transforms")
            index = int(rng.integers(len(self)))
        if not self.redraw:
            return Dropped(key.place)
        hint = (
            f"the last one: {reason}"
            if reason
            else "data.train_transforms.require_keypoints.min_inside=1 keeps more of them"
        )
        raise ValueError(
            f"{MAX_REJECTED} samples in a row were damaged, or rejected by the transforms ({hint})"
        )

    def _draw(self, index: int, rng: np.random.Generator) -> tuple[Sample | None, str]:
        """Return a sample, or ``None`` and what is wrong with its files, if that is the reason."""
        try:
            sample: Sample | None = self.dataset[index]
        except (ValueError, FileNotFoundError) as error:
            return None, self._handle(error)
        for transform in self.transforms:
            if sample is None:
                break
            try:
                sample = transform(sample, rng)
            except (CorruptImageError, FileNotFoundError) as error:
                # Images may be decoded as late as in ``Warp``; backgrounds are files too.
                return None, self._handle(error)
        return sample, ""

    def _handle(self, error: ValueError | FileNotFoundError) -> str:
        if self.on_error == "skip":
            return str(error)
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}. data.on_error=skip goes on without it") from error


class EpochSampler(Sampler[Key]):
    """The order of one epoch, split over processes.

    Rank ``r`` of ``n`` takes places ``r, r + n, ...``, so the batches of all ranks together are
    the batch that one process would draw. For training the order is filled up from its
    beginning so that all ranks have as many; for evaluation it is not, so nothing is counted twice.

    Samples that lie together on the disk are best read together. Where a dataset says which do
    (``group_sizes``), groups are shuffled, and then the samples of every ``WINDOW`` groups.

    Args:
        length: samples in the dataset.
        shuffle: draw a new order every epoch.
        seed: of the run.
        rank: of this process.
        world_size: number of processes.
        fill: give every rank the same number of samples.
        group_sizes: numbers of samples that lie together, in the order of the dataset.
    """

    def __init__(
        self,
        length: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        fill: bool = False,
        group_sizes: Sequence[int] | None = None,
    ) -> None:
        self.length, self.shuffle, self.seed = length, shuffle, seed
        self.rank, self.world_size, self.fill = rank, world_size, fill
        ends = np.cumsum([length] if group_sizes is None else group_sizes)
        self._ends = np.unique(np.minimum(ends, length))  # a limit may cut groups off
        self.epoch = 0
        self.skip = 0  # samples of this rank already used: where an interrupted epoch goes on

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration belongs to (Lightning calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        rounded = self.length + (-self.length % self.world_size if self.fill else 0)
        return len(range(self.rank, rounded, self.world_size))

    def __iter__(self) -> Iterator[Key]:
        skip, self.skip = self.skip, 0
        epoch = self.epoch
        mine = islice(self._filled(), self.rank + skip * self.world_size, None, self.world_size)
        return (Key(epoch, place) for place in mine)

    def _filled(self) -> Iterator[int]:
        yield from self._order()
        if self.fill:
            short = -self.length % self.world_size
            while short:  # more than one round if there are more processes than samples
                first = list(islice(self._order(), short))
                yield from first
                short -= len(first)

    def _order(self) -> Iterator[int]:
        """Give the places of an epoch, a window at a time: a list of all may not fit."""
        if not self.shuffle:
            yield from range(self.length)
            return
        rng = np.random.default_rng([self.seed, self.epoch])
        groups = rng.permutation(len(self._ends))
        for start in range(0, len(groups), WINDOW):
            window = np.concatenate([self._places(g) for g in groups[start : start + WINDOW]])
            yield from rng.permutation(window).tolist()

    def _places(self, group: int) -> NDArray[np.int64]:
        begin = self._ends[group - 1] if group else 0
        return np.arange(begin, self._ends[group], dtype=np.int64)
