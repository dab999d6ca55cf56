from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from sapiens_lab.data import photometric
from sapiens_lab.data import transforms as T
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.images import CorruptImageError
from sapiens_lab.data.loading import EpochSampler, Key, TransformedDataset
from sapiens_lab.data.sample import Sample, collate
from tests.data.test_transforms import SIZE, make_sample

STEPS = {
    "augment": T.RandomShiftScaleRotate(),
    "crop": T.CropToBox(SIZE),
    "warp": T.Warp(SIZE),
    "hole": photometric.CoarseDropout(),
}


class MadePeople(Dataset):
    """Samples that differ by index."""

    def __init__(self, length: int = 7) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return make_sample(index)


def test_a_draw_depends_on_seed_epoch_and_index_only() -> None:
    dataset = TransformedDataset(MadePeople(), transforms=STEPS.values(), seed=3)
    again = TransformedDataset(MadePeople(), transforms=STEPS.values(), seed=3)
    first = dataset[Key(1, 4)].image.pixels
    dataset[Key(0, 2)]
    np.testing.assert_array_equal(again[Key(1, 4)].image.pixels, first)
    assert (again[Key(2, 4)].image.pixels != first).any()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_batches(workers: int) -> None:
    dataset = TransformedDataset(MadePeople(), transforms=STEPS.values())
    sampler = EpochSampler(7, shuffle=True)
    alone = list(DataLoader(dataset, 2, sampler=sampler, collate_fn=collate))
    helped = list(DataLoader(dataset, 2, sampler=sampler, collate_fn=collate, num_workers=workers))
    for a, b in zip(alone, helped, strict=True):
        assert (a.image == b.image).all()
        assert (a["keypoints"] == b["keypoints"]).all()


def test_two_processes_see_together_what_one_sees_alone() -> None:
    alone = [key.place for key in EpochSampler(8, shuffle=True, seed=1)]
    shares = [
        [key.place for key in EpochSampler(8, shuffle=True, seed=1, rank=r, world_size=2)]
        for r in (0, 1)
    ]
    assert [index for pair in zip(*shares, strict=True) for index in pair] == alone


def test_evaluation_counts_nothing_twice() -> None:
    shares = [list(EpochSampler(7, shuffle=False, rank=r, world_size=2)) for r in (0, 1)]
    assert sorted(key.place for share in shares for key in share) == list(range(7))
    assert [len(EpochSampler(7, shuffle=False, rank=r, world_size=2)) for r in (0, 1)] == [4, 3]


def test_training_gives_every_process_as_many() -> None:
    for length, world_size in ((7, 2), (2, 5)):
        shares = [
            list(EpochSampler(length, shuffle=True, rank=r, world_size=world_size, fill=True))
            for r in range(world_size)
        ]
        assert len({len(share) for share in shares}) == 1
        assert {key.place for share in shares for key in share} == set(range(length))


def test_an_interrupted_epoch_goes_on_where_it_stopped() -> None:
    sampler = EpochSampler(7, shuffle=True)
    sampler.set_epoch(3)
    whole = list(sampler)
    sampler.skip = 4
    assert list(sampler) == whole[4:]
    assert list(sampler) == whole  # the next epoch is whole again


def test_groups_are_read_together() -> None:
    sizes = [5] * 40
    places = [key.place for key in EpochSampler(200, shuffle=True, seed=2, group_sizes=sizes)]
    assert sorted(places) == list(range(200))
    assert places != sorted(places)
    for start, stop in ((0, 80), (80, 160), (160, 200)):
        assert len({place // 5 for place in places[start:stop]}) == (stop - start) // 5


def test_groups_split_over_processes_and_go_on_like_any_order() -> None:
    def sampler(rank: int, world_size: int) -> EpochSampler:
        return EpochSampler(
            113, shuffle=True, rank=rank, world_size=world_size, fill=True, group_sizes=[7] * 20
        )

    alone = [key.place for key in sampler(0, 1)]
    shares = [[key.place for key in sampler(rank, 2)] for rank in (0, 1)]
    together = [place for pair in zip(*shares, strict=True) for place in pair]
    assert together == [*alone, alone[0]]
    late = sampler(1, 2)
    late.skip = 20
    assert [key.place for key in late] == shares[1][20:]


def test_when_everything_is_rejected_the_error_says_so() -> None:
    def reject(sample: Sample, rng: np.random.Generator) -> None:
        return None

    with pytest.raises(ValueError, match="rejected"):
        TransformedDataset(MadePeople(), transforms=[reject], redraw=True)[Key(0, 0)]


class DamagedPeople(MadePeople):
    """Samples of which number 2 cannot be read."""

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise CorruptImageError("2.png is truncated")
        return super().__getitem__(index)


def damaged(**options: Any) -> DataModule:
    return DataModule(
        train=lambda: DamagedPeople(6),
        val=lambda: DamagedPeople(6),
        train_transforms=STEPS,
        eval_transforms={**STEPS, "augment": None, "hole": None},
        **{"num_workers": 0, "batch_size": 2, **options},
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_drops_a_damaged_sample_and_counts_nothing_twice(workers: int) -> None:
    module = damaged(on_error="skip", num_workers=workers)
    batches = list(module.val_dataloader())
    assert [meta.id for batch in batches for meta in batch.meta] == [0, 1, 3, 4, 5]
    assert [batch.dropped for batch in batches] == [[], [2], []]


def test_a_batch_of_damaged_samples_is_empty() -> None:
    batches = list(damaged(on_error="skip", batch_size=1).val_dataloader())
    assert [len(batch) for batch in batches] == [1, 1, 0, 1, 1, 1]
    assert batches[2].to("cpu").dropped == [2]


def test_training_draws_another_sample_instead(caplog: pytest.LogCaptureFixture) -> None:
    batches = list(damaged(on_error="skip").train_dataloader())
    ids = [meta.id for batch in batches for meta in batch.meta]
    assert len(ids) == 6
    assert 2 not in ids
    assert caplog.text.count("2.png is truncated") == 1


def test_a_damaged_sample_stops_a_run_unless_skipped() -> None:
    with pytest.raises(ValueError, match=r"2\.png is truncated\. data\.on_error=skip goes on"):
        list(damaged().val_dataloader())


def test_datamodule_builds_only_what_it_is_asked_for() -> None:
    def never() -> MadePeople:
        raise AssertionError("the training set is not needed to evaluate")

    module = DataModule(
        train=never,
        val=lambda: MadePeople(5),
        train_transforms=STEPS,
        eval_transforms={**STEPS, "augment": None, "hole": None},
        batch_size=2,
        num_workers=0,
    )
    sizes = [len(batch) for batch in module.val_dataloader()]
    assert sizes == [2, 2, 1]


def test_an_empty_set_is_named() -> None:
    module = DataModule(
        train=lambda: MadePeople(0),
        val=lambda: MadePeople(5),
        train_transforms=STEPS,
        eval_transforms=STEPS,
        batch_size=2,
        num_workers=0,
        root="empty/folder",
    )
    message = r"the train set, a MadePeople, is empty \(data\.root=empty/folder\)"
    with pytest.raises(ValueError, match=message):
        module.dataset("train")


def test_what_is_no_dataset_is_named() -> None:
    class OnlyItems:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            return make_sample(index)

    module = DataModule(
        train=OnlyItems,  # type: ignore[arg-type]
        val=OnlyItems,  # type: ignore[arg-type]
        train_transforms=STEPS,
        eval_transforms=STEPS,
        batch_size=2,
    )
    with pytest.raises(ValueError, match=r"data\.train made a OnlyItems.*subclass.*data\.dataset"):
        module.dataset("train")


def test_collate_refuses_a_mixture() -> None:
    one, other = make_sample(0), make_sample(1)
    del other.fields["depth"]
    with pytest.raises(ValueError, match="have no depth"):
        collate([one, other])
