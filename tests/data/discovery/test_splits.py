from __future__ import annotations

import random

import pytest

from sapiens_lab.data.discovery.splits import divide, groups_of, split_of


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train2017/1.jpg", "train"),
        ("0-VAL.tar", "val"),
        ("person_keypoints_valid.json", "val"),
        ("images/Training/val.png", "train"),  # the outermost part decides
        ("train_val/val/1.png", "val"),  # a part that names both names none
        ("trainval.json", None),
        ("straining/rival/1.png", None),
        ("", None),
    ],
)
def test_a_path_names_a_split(path: str, split: str | None) -> None:
    assert split_of(path) == split


def test_a_checksum_divides_always_in_the_same_way() -> None:
    """Recorded: another choice would mix the training and validation images of earlier runs."""
    names = [f"{i:03d}.jpg" for i in range(12)]
    recorded = ["001.jpg", "002.jpg", "003.jpg", "008.jpg"]
    assert divide(names, "val", 0.3) == recorded
    random.Random(0).shuffle(names)
    assert divide([*names, "001.jpg"], "val", 0.3) == recorded  # neither order nor repeats matter
    assert divide(names, "train", 0.3) == sorted(set(names) - set(recorded))
    assert divide(names, "train", None) == sorted(names)


def test_both_splits_get_an_image() -> None:
    for fraction in (0.001, 0.999):
        both = [divide(["a", "b"], split, fraction) for split in ("train", "val")]  # type: ignore[arg-type]
        assert sorted(both) == [["a"], ["b"]]
    with pytest.raises(ValueError, match=r"one image \(a\) cannot be divided"):
        divide(["a"], "train", 0.5)
    with pytest.raises(ValueError, match=r"val_fraction=1 must lie between 0 and 1"):
        divide(["a", "b"], "train", 1)


def test_groups_stay_on_one_side() -> None:
    names = [f"{video}/{frame}.jpg" for video in "abcdefghij" for frame in range(5)]
    for group_by in ("folder", "^(.)/"):
        train, val = (divide(names, split, 0.2, group_by) for split in ("train", "val"))  # type: ignore[arg-type]
        assert sorted([*train, *val]) == sorted(names)
        assert len(val) == 10
        assert not {name[0] for name in train} & {name[0] for name in val}


@pytest.mark.parametrize("large", ["large", "huge", "big", "long"])
def test_a_large_group_does_not_fill_the_validation_set(large: str) -> None:
    """Wherever it comes in the order, small groups make up the wanted tenth."""
    names = [f"{large}/{i}" for i in range(60)] + [f"small_{i}/0" for i in range(40)]
    val = divide(names, "val", 0.1, "folder")
    assert len(val) == 10
    assert not any(name.startswith(large) for name in val)
    assert divide([f"a/{i}" for i in range(9)] + ["b/0"], "val", 0.01, "folder") == ["b/0"]


def test_what_groups_may_be() -> None:
    assert groups_of(["p01_3", "p02_1", "x"], r"p(\d+)_") == ["01", "02", "x"]
    assert groups_of(["p01_3", "x"], r"p\d+") == ["p01", "x"]
    assert groups_of(["a/b", "c"], "folder") == ["a", ""]
    for group_by, message in (("(", "no regular expression"), ("z", "matches no image")):
        with pytest.raises(ValueError, match=message):
            groups_of(["a", "b"], group_by)
    with pytest.raises(ValueError, match="all 2 images are of one group"):
        divide(["a/b", "a/c"], "val", 0.5, "folder")
