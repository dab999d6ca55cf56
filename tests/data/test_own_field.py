"""A modality that the package does not know: one class, and every transform works on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.data import transforms as T
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.fields import masked_arrays, warp_mask
from sapiens_lab.data.sample import Sample, collate
from sapiens_lab.geometry import Matrix
from tests.data.test_transforms import SIZE, chain, make_sample

SOURCE = (200, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class Albedo:
    """Color of the surface under white light."""

    can_flip: ClassVar[bool] = True

    color: NDArray[np.float32]  # (H, W, 3) in 0..1
    valid: NDArray[np.bool_]  # (H, W)

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> Albedo:
        color = geometry.warp(self.color, matrix, size, nearest=True)
        return Albedo(color=color, valid=warp_mask(self.valid, matrix, size))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        return masked_arrays(name, self.color.transpose(2, 0, 1), self.valid)


class PaintedPeople(Dataset):
    """Red on the left, green on the right, and one pixel that is not finite."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        color = np.zeros((*SOURCE, 3), np.float32)
        color[:, :80, 0] = color[:, 80:, 1] = 1
        color[7, 9, 2] = np.nan
        sample = make_sample(index)
        sample.fields["albedo"] = Albedo(color=color, valid=np.ones(SOURCE, np.bool_))
        return sample


def test_an_albedo_of_ones_own_goes_through_warp_and_batch() -> None:
    module = DataModule(
        train=PaintedPeople,
        val=PaintedPeople,
        train_transforms={
            "augment": T.RandomShiftScaleRotate(),
            "crop": T.CropToBox(SIZE),
            "flip": T.RandomFlip(),
            "warp": T.Warp(SIZE),
        },
        eval_transforms={"crop": T.CropToBox(SIZE), "warp": T.Warp(SIZE, keep_source=True)},
        batch_size=2,
        num_workers=0,
    )
    [batch, _] = module.train_dataloader()
    assert batch["albedo"].shape == (2, 3, *SIZE)
    assert batch["albedo_valid"].shape == (2, 1, *SIZE)
    assert batch.to(dtype=None)["albedo"].shape == (2, 3, *SIZE)
    [batch, _] = module.val_dataloader()
    for gt in batch.gt:
        assert gt["albedo"].shape == (3, *SOURCE)
        assert gt["albedo"].isfinite().all()
        assert not gt["albedo_valid"][0, 7, 9]
        assert int((~gt["albedo_valid"]).sum()) == 1


def test_it_flips_and_turns_with_the_image() -> None:
    sample = PaintedPeople()[0]
    half_turn = geometry.rotate(180, np.array([79.5, 99.5]))
    for matrix in (geometry.flip(79.5), half_turn):
        [batch] = [collate([chain(sample.move(matrix), T.Warp(SOURCE))])]
        assert batch["albedo"][0, :, 100, 20].tolist() == [0, 1, 0]
        assert batch["albedo"][0, :, 100, 140].tolist() == [1, 0, 0]


def test_a_field_that_cannot_flip_keeps_the_sample_from_flipping() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Sided(Albedo):
        can_flip: ClassVar[bool] = False

    sample = PaintedPeople()[0]
    assert sample.can_flip
    albedo = sample.fields["albedo"]
    assert isinstance(albedo, Albedo)
    sample.fields["albedo"] = Sided(color=albedo.color, valid=albedo.valid)
    assert not sample.can_flip
    assert T.RandomFlip(p=1.0)(sample, np.random.default_rng(0)) is sample


def test_what_a_batch_does_not_have_is_named() -> None:
    batch = collate([chain(PaintedPeople()[0], T.Warp(SIZE))])
    assert "albedo" in batch
    assert "pointmap" not in batch
    with pytest.raises(ValueError, match=r"'pointmap' is asked for.*gives keypoints.*albedo_valid"):
        batch["pointmap"]


def test_a_known_name_with_another_class_is_refused() -> None:
    sample = PaintedPeople()[0]
    sample.fields["depth"] = sample.fields.pop("albedo")
    with pytest.raises(ValueError, match=r"'depth' of made is a Albedo; a DepthMap has that name"):
        _ = sample.depth
