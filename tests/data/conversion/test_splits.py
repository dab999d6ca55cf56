"""Divide images, whole groups at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab.data.conversion.splits import divide_groups, given_splits
from sapiens_lab.data.importers.annotated import AnnotatedImage


def images(*names: str, subsets: tuple[str | None, ...] = ()) -> list[AnnotatedImage]:
    found = [AnnotatedImage(path=Path(name), name=name, size=(4, 4)) for name in names]
    for image, subset in zip(found, subsets, strict=False):
        image.subset = subset
    return found


def names(splits: dict[str, list[AnnotatedImage]]) -> dict[str, list[str]]:
    return {split: [image.name for image in found] for split, found in splits.items()}


def test_the_splits_of_the_source() -> None:
    """By subset, then by folder; what has neither trains, and without both nothing is divided."""
    some = images("a", "valid/b", "c", "d", "test/e", subsets=("Train", None, None, "val"))
    assert names(given_splits(some)) == {
        "train": ["a", "c"], "val": ["valid/b", "d"], "test": ["test/e"]
    }  # fmt: skip
    assert list(given_splits(images("train/a", "b"))) == ["all"]


@pytest.mark.parametrize("group_by", [r"(p\d+)_", "folder", "video"])
def test_groups_stay_together(group_by: str) -> None:
    some = images(*(f"p{i}/p{i}_{j}.jpg" for i in range(10) for j in range(10)))
    for image in some:
        image.video = image.folder
    splits = divide_groups(some, 0.8, group_by=group_by, seed=0)
    groups = {split: {image.folder for image in found} for split, found in splits.items()}
    assert not groups["train"] & groups["val"]
    assert (len(splits["train"]), len(splits["val"])) == (80, 20)


def test_the_seed_decides_and_the_order_does_not() -> None:
    some = images(*(f"{i}.jpg" for i in range(100)))
    first = names(divide_groups(some, 0.75, group_by=None, seed=1))
    assert len(first["val"]) == 25
    assert names(divide_groups(some[::-1], 0.75, group_by=None, seed=1)) == first
    assert names(divide_groups(some, 0.75, group_by=None, seed=2)) != first


def test_groups_of_unlike_size() -> None:
    """Of 90 + 5 + 5 images, a fifth validates: the two small groups or one, never the large."""
    some = images(*(f"{'abc'[0 if i < 90 else 1 + i % 2]}/{i}.jpg" for i in range(100)))
    for seed in range(5):
        splits = divide_groups(some, 0.8, group_by="folder", seed=seed)
        assert splits["train"]
        assert splits["val"]


@pytest.mark.parametrize(
    ("fraction", "group_by", "message"),
    [
        (1.0, None, "between 0 and 1"),
        (float("nan"), None, "between 0 and 1"),
        (0.8, "folder", r"only one group \(folder\)"),
        (0.8, "(", "not a regular expression"),
        (0.8, "zzz", "matches no image, e.g. not a.jpg"),
    ],
)
def test_what_cannot_be_divided(fraction: float, group_by: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        divide_groups(images("a.jpg", "b.jpg"), fraction, group_by=group_by, seed=0)
