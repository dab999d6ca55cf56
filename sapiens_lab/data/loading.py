"""Which sample comes when, and with which random numbers.

Order and augmentation depend on (seed, epoch, index) alone: not on the number of workers, not on
what ran before. So a run can be stopped anywhere and continued exactly, and two processes see
together what one would see alone.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.images import CorruptImageError
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.shards.tar_index import CorruptArchiveError
from sapiens_lab.data.transforms import Transform

log = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]

MAX_REJECTED = 50  # draws in a row before the transforms are taken to reject everything
WINDOW = 16  # groups of samples that are shuffled together


class Key(NamedTuple):
    """What a sampler asks a data set for."""

    epoch: int
    place: int  # index into the data set


class TransformedDataset(TorchDataset[Sample]):
    """A data set seen through transforms, each draw with a generator of its own.

    Args:
        dataset: yields source-frame samples by index.
        transforms: applied in order; a rejected draw is replaced by one of another sample.
        seed: of the run.
        limit: use only the first so many samples.
        on_error: ``skip`` logs a sample whose files are damaged, once, and draws another one.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        transforms: Iterable[Transform],
        seed: int = 0,
        limit: int | None = None,
        on_error: OnError = "raise",
    ) -> None:
        self.dataset = dataset
        self.transforms: Sequence[Transform] = tuple(transforms)
        self.seed = seed
        self.limit = limit
        self.on_error = on_error
        self._num_skipped = multiprocessing.Value("q", 0)  # by all workers together
        self._named: set[int] = set()  # already logged by this one

    @property
    def num_skipped(self) -> int:
        """How often a damaged sample was drawn, in all loading processes."""
        return int(self._num_skipped.value)

    def __len__(self) -> int:
        length = len(self.dataset)
        return length if self.limit is None else min(length, self.limit)

    def __getitem__(self, key: Key) -> Sample:
        """Return the draw of a key.

        Raises:
            CorruptImageError, CorruptArchiveError, FileNotFoundError: its file cannot be read
                and ``on_error`` is ``raise``; names it.
            ValueError: every draw was rejected, or damaged and skipped.
        """
        rng = np.random.default_rng([self.seed, key.epoch, key.place])
        index = key.place
        reason = ""
        for _ in range(MAX_REJECTED):
            try:
                sample = self._transform(self.dataset[index], rng)
            except (CorruptImageError, CorruptArchiveError, FileNotFoundError) as error:
                if self.on_error == "raise":
                    hint = "data.on_error=skip goes on without it"
                    raise type(error)(f"{error}. {hint}") from error
                self._note(index, error)
                sample, reason = None, f"the last one: {error}"
            if sample is not None:
                return sample
            index = int(rng.integers(len(self)))
        raise ValueError(
            f"{MAX_REJECTED} samples in a row were damaged, or rejected by the transforms "
            f"({reason or 'lower data.min_keypoints or widen the crop'})"
        )

    def _transform(self, sample: Sample | None, rng: np.random.Generator) -> Sample | None:
        for transform in self.transforms:
            if sample is None:
                return None
            sample = transform(sample, rng)
        return sample

    def _note(self, index: int, error: Exception) -> None:
        with self._num_skipped.get_lock():
            self._num_skipped.value += 1
        if index not in self._named:
            self._named.add(index)
            log.warning("skipped (%d draws so far): %s", self.num_skipped, error)


class EpochSampler(Sampler[Key]):
    """The order of one epoch, split over processes.

    Rank ``r`` of ``n`` takes places ``r, r + n, ...``, so the batches of all ranks together are
    the batch that one process would draw. For training the order is filled up to equal shares
    from its beginning; for evaluation it is not, so nothing is counted twice.

    Samples that lie together on the disk are best read together. Where a data set says which do
    (``group_sizes``), groups are shuffled, and then the samples of every ``WINDOW`` groups.

    Args:
        length: samples in the data set.
        shuffle: draw a new order every epoch.
        seed: of the run.
        rank: of this process.
        world_size: number of processes.
        fill: give every rank the same number of samples.
        group_sizes: numbers of samples that lie together, in the order of the data set.
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
