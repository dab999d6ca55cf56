"""Which sample comes when, and with which random numbers.

Order and augmentation depend on (seed, epoch, index) alone: not on the number of workers, not on
what ran before. So a run can be stopped anywhere and continued exactly, and two processes see
together what one would see alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler

from sapiens_lab.data.sample import Sample
from sapiens_lab.data.transforms import Transform

MAX_REJECTED = 50  # draws in a row before the transforms are taken to reject everything


class Key(NamedTuple):
    """What a sampler asks a data set for."""

    epoch: int
    place: int  # index into the data set


class TransformedDataset(Dataset[Sample]):
    """A data set seen through transforms, each draw with a generator of its own.

    Args:
        dataset: yields source-frame samples by index.
        transforms: applied in order; a rejected draw is replaced by one of another sample.
        seed: of the run.
        limit: use only the first so many samples.
    """

    def __init__(
        self,
        dataset: Dataset[Sample],
        *,
        transforms: Iterable[Transform],
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.transforms: Sequence[Transform] = tuple(transforms)
        self.seed = seed
        self.limit = limit

    def __len__(self) -> int:
        length = len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
        return length if self.limit is None else min(length, self.limit)

    def __getitem__(self, key: Key) -> Sample:
        rng = np.random.default_rng([self.seed, key.epoch, key.place])
        index = key.place
        for _ in range(MAX_REJECTED):
            sample = self._transform(self.dataset[index], rng)
            if sample is not None:
                return sample
            index = int(rng.integers(len(self)))
        raise ValueError(
            f"{MAX_REJECTED} samples in a row were rejected by the transforms (the last one was "
            f"{self.dataset[index].meta.path}); lower data.min_keypoints or widen the crop"
        )

    def _transform(self, sample: Sample | None, rng: np.random.Generator) -> Sample | None:
        for transform in self.transforms:
            if sample is None:
                return None
            sample = transform(sample, rng)
        return sample


class EpochSampler(Sampler[Key]):
    """The order of one epoch, split over processes.

    Rank ``r`` of ``n`` takes places ``r, r + n, ...``, so the batches of all ranks together are
    the batch that one process would draw. For training the order is filled up to equal shares
    from its beginning; for evaluation it is not, so nothing is counted twice.

    Args:
        length: samples in the data set.
        shuffle: draw a new order every epoch.
        seed: of the run.
        rank: of this process.
        world_size: number of processes.
        fill: give every rank the same number of samples.
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
    ) -> None:
        self.length, self.shuffle, self.seed = length, shuffle, seed
        self.rank, self.world_size, self.fill = rank, world_size, fill
        self.epoch = 0
        self.skip = 0  # samples of this rank already used: where an interrupted epoch goes on

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration belongs to (Lightning calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        rounded = self.length + (-self.length % self.world_size if self.fill else 0)
        return len(range(self.rank, rounded, self.world_size))

    def __iter__(self) -> Iterator[Key]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.length) if self.shuffle else np.arange(self.length)
        if self.fill and (short := -self.length % self.world_size):
            order = np.concatenate([order, np.resize(order, short)])
        mine = order[self.rank :: self.world_size][self.skip :]
        self.skip = 0
        return iter([Key(self.epoch, int(index)) for index in mine])
