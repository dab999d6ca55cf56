from __future__ import annotations

import random

import pytest

from sapiens_lab.data.discovery.splits import divide, split_of


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
