"""One DataModule for every task: datasets in, batches out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Literal

import lightning as L
from torch.utils.data import DataLoader

from sapiens_lab.data.checks.finding import OnError, settle
from sapiens_lab.data.dataset import Dataset, DatasetFactory
from sapiens_lab.data.datasets.split_checks import check_splits
from sapiens_lab.data.loading import EpochSampler, TransformedDataset
from sapiens_lab.data.sample import Batch, Dropped, Sample, collate
from sapiens_lab.data.transforms import Transform
from sapiens_lab.ranges import Count, Whole
from sapiens_lab.signals import end_with_parent, stand_apart

log = logging.getLogger(__name__)


class DataModule(L.LightningDataModule):
    """Build the datasets that a stage needs and serve them in reproducible batches.

    Args:
        train: makes the training set; not called when only evaluating.
        val: makes the validation set.
        test: makes the test set; the validation set by default.
        train_transforms: named steps, in order. Names let a config replace one.
        eval_transforms: the same for validation and test.
        batch_size: samples of one step in one process; of ``auto`` a run makes a number before it
            trains (``use_batch_size``).
        eval_batch_size: the same without gradients; ``batch_size`` by default.
        limit: use only the first so many samples of every set (to try things).
        num_workers: loading processes; ``None`` takes the number of cores, at most 8.
        seed: of order and augmentation.
        on_error: ``skip`` goes on without samples whose files are damaged, and names them: training
            draws others instead, evaluation drops them.
        root: folder of the datasets, if they share one; named where one is empty.
        group_by: what the datasets keep in one split; a regular expression is looked for in the
            names of both sets, also where their split is given.
    """

    def __init__(
        self,
        *,
        train: DatasetFactory,
        val: DatasetFactory,
        test: DatasetFactory | None = None,
        train_transforms: Mapping[str, Transform | None],
        eval_transforms: Mapping[str, Transform | None],
        batch_size: Count | Literal["auto"],
        eval_batch_size: Count | None = None,
        limit: Count | None = None,
        num_workers: Whole | None = None,
        seed: Whole = 0,
        on_error: OnError = "raise",
        root: str | None = None,
        group_by: str | None = None,
    ) -> None:
        super().__init__()
        self.is_auto = batch_size == "auto"
        batch_size = 1 if batch_size == "auto" else batch_size
        if batch_size < 1:
            raise ValueError(f"data.batch_size is {batch_size}; it must be at least 1")
        if limit is not None and limit < 1:
            raise ValueError(f"data.limit is {limit}; it must be at least 1, or null for no limit")
        self._factories = {"train": train, "val": val, "test": test or val}
        self._transforms = {"train": _chain(train_transforms), "eval": _chain(eval_transforms)}
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.num_workers = _num_cores() if num_workers is None else num_workers
        self.limit = limit
        self.seed = seed
        self.on_error: OnError = on_error
        self.root = root
        self.group_by = group_by
        self._datasets: dict[str, Dataset] = {}
        self._are_compared = False
        self._resume: dict[str, int] | None = None  # {"epoch", "batch"} of a checkpoint

    def use_batch_size(self, batch_size: Count) -> None:
        """Take the number that ``auto`` stands for; evaluations too, unless they have their own."""
        if self.eval_batch_size == self.batch_size:
            self.eval_batch_size = batch_size
        self.batch_size, self.is_auto = batch_size, False

    def dataset(self, split: str) -> Dataset:
        """Return the source-frame dataset of ``train``, ``val`` or ``test``, built once.

        Raises:
            ValueError: it is empty, or no ``Dataset``.
        """
        if split not in self._datasets:
            dataset = self._factories[split]()
            if not isinstance(dataset, Dataset):
                raise ValueError(
                    f"data.{split} made a {type(dataset).__name__}, which lacks something that a "
                    "dataset has: let it subclass sapiens_lab.data.dataset.Dataset"
                )
            if len(dataset) == 0:
                where = f" (data.root={self.root})" if self.root else ""
                raise ValueError(f"the {split} set, a {type(dataset).__name__}, is empty{where}")
            self._datasets[split] = dataset
        return self._datasets[split]

    def transforms(self, stage: Literal["train", "eval"]) -> tuple[Transform, ...]:
        """Return the steps of a stage, in their order."""
        return self._transforms[stage]

    def prepare_data(self) -> None:
        """Let the datasets do their one-time work (Lightning calls this in one process)."""
        for split in self._splits():
            self.dataset(split).prepare(_num_cores())  # nothing else runs meanwhile

    def setup(self, stage: str) -> None:
        """Build the datasets of a stage, so that what is wrong with them is said at once."""
        for split in self._splits():
            self.dataset(split)
        if not self._is_testing():
            self.check_splits()

    def check_splits(self) -> None:
        """Warn, once, of images that are in the training and in the validation set."""
        if not self._are_compared:
            self._are_compared = True
            train, val = self.dataset("train"), self.dataset("val")
            check_splits(train.image_paths(), val.image_paths(), group_by=self.group_by)
            settle(train.differences(val), source="training and validation set")

    def train_dataloader(self) -> DataLoader[Sample | Dropped]:
        """Return the shuffled, augmented training batches, continuing where a run stopped."""
        loader = self._loader("train", "train", self.batch_size, train=True)
        if self._resume is not None:
            sampler = loader.sampler
            assert isinstance(sampler, EpochSampler)
            sampler.epoch = self._resume["epoch"]
            sampler.skip = self._resume["batch"] * self.batch_size
            self._resume = None
        return loader

    def val_dataloader(self) -> DataLoader[Sample | Dropped]:
        """Return the validation batches in the dataset's order."""
        return self._loader("val", "eval", self.eval_batch_size, train=False)

    def test_dataloader(self) -> DataLoader[Sample | Dropped]:
        """Return the test batches in the dataset's order."""
        return self._loader("test", "eval", self.eval_batch_size, train=False)

    def state_dict(self) -> dict[str, int]:
        """Return the place in the data as (epoch, batches of it), counted by optimizer steps."""
        trainer = self.trainer
        if trainer is None or trainer.num_training_batches in (0, float("inf")):
            return {}
        accumulate = trainer.accumulate_grad_batches
        steps_per_epoch = -(-int(trainer.num_training_batches) // accumulate)
        epoch, step = divmod(trainer.global_step, steps_per_epoch)
        return {"epoch": epoch, "batch": step * accumulate}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Remember the place for the next training loader."""
        self._resume = state_dict or None

    def _is_testing(self) -> bool:
        return self.trainer is not None and self.trainer.testing

    def _splits(self) -> tuple[str, ...]:
        return ("test",) if self._is_testing() else ("train", "val")

    def _loader(
        self, split: str, transforms: str, batch_size: Count, *, train: bool
    ) -> DataLoader[Sample | Dropped]:
        dataset = TransformedDataset(
            self.dataset(split),
            transforms=self._transforms[transforms],
            seed=self.seed,
            limit=self.limit,
            on_error=self.on_error,
            redraw=train,
        )
        trainer = self.trainer
        sampler = EpochSampler(
            len(dataset),
            shuffle=train,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            fill=train,
            group_sizes=dataset.dataset.group_sizes,
        )
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
            worker_init_fn=_start_worker,
            # A last batch of another size would make one step of every epoch differ.
            drop_last=train and len(sampler) >= batch_size,
            pin_memory=bool(trainer and trainer.strategy.root_device.type == "cuda"),
            persistent_workers=self.num_workers > 0,
        )

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        """Move a batch without waiting for it."""
        return batch.to(device, non_blocking=True)


def _chain(transforms: Mapping[str, Transform | None]) -> tuple[Transform, ...]:
    """Drop the steps that a config has switched off with ``null``."""
    return tuple(step for step in transforms.values() if step is not None)


def _start_worker(_: int) -> None:
    # A run that is asked to stop finishes its step, for which it needs its workers.
    stand_apart()
    end_with_parent()


def _num_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return min(8, len(affinity(0)) if affinity else os.cpu_count() or 1)
