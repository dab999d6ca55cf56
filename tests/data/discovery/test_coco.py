"""Which of several annotation files serves a split, and whether it is divided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.data.discovery.coco import CocoFile, Wanted, find_annotations, find_image_folder

WANTED = Wanted(
    what="dots",
    find_fault=lambda content: "" if "dots" in content["annotations"][0] else "it has no dots",
    keys=("images", "annotations"),
    rank=lambda name: ("dot" not in name,),
    remedy="",
)


def write(root: Path, name: str, *, dots: bool = True) -> None:
    dot = {"image_id": 1, "dots" if dots else "lines": 1}
    content = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [dot]}
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("files", "train", "val"),
    [
        (["all.json"], ("all.json", True), ("all.json", True)),
        (["b.json", "c_dots.json"], ("c_dots.json", True), ("c_dots.json", True)),
        (["Train2017/x.json", "valid/x.json"],
         ("Train2017/x.json", False), ("valid/x.json", False)),
        (["annotations/dots.json", "x_train.json"],
         ("x_train.json", False), ("annotations/dots.json", False)),
        # Files that do not fit are no partners: COCO's captions beside one's own annotations.
        (["all.json", "captions_train.json!", "captions_val.json!"],
         ("all.json", True), ("all.json", True)),
    ],
)  # fmt: skip
def test_the_file_of_each_split(
    tmp_path: Path, files: list[str], train: tuple[str, bool], val: tuple[str, bool]
) -> None:
    for name in files:
        write(tmp_path, name.removesuffix("!"), dots=not name.endswith("!"))
    splits: dict[Any, tuple[str, bool]] = {"train": train, "val": val}
    for split, expected in splits.items():
        file = find_annotations(tmp_path, split, WANTED, given=None)
        assert (file.path.relative_to(tmp_path).as_posix(), file.is_whole) == expected


def test_a_given_file_is_not_divided(tmp_path: Path) -> None:
    write(tmp_path, "all.json")
    assert not find_annotations(tmp_path, "train", WANTED, given="all.json").is_whole
    write(tmp_path, "bad.json", dots=False)
    with pytest.raises(ValueError, match=r"bad\.json: it has no dots"):
        find_annotations(tmp_path, "train", WANTED, given="bad.json")
    with pytest.raises(FileNotFoundError, match=r"c\.json; JSON files near: all\.json, bad\.json"):
        find_annotations(tmp_path, "train", WANTED, given="c.json")


def named(root: Path, *names: str) -> CocoFile:
    """Return an annotation file of images, which all exist."""
    for name in names:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    return CocoFile(path=root / "all.json", content={"images": images}, is_whole=True)


@pytest.mark.parametrize("name", ["../../other/b.png", "..\\..\\other\\b.png", "a/../../../b.png"])
def test_names_do_not_lead_out_of_the_root(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    file = named(root, "a/ok.png", "a/../other.png", name)
    with pytest.raises(ValueError, match=r"1 of 3 images have a file_name that leads out of .*b"):
        find_image_folder(root, file, "train", given=None)


def test_absolute_names_are_allowed_in_the_root_or_where_the_user_says(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    inside, outside = root / "images/a.png", store / "b.png"
    store.mkdir()
    outside.touch()
    assert find_image_folder(root, named(root, str(inside)), "train", given=None).is_dir()
    file = named(root, str(inside), str(outside))
    with pytest.raises(ValueError, match=r"leads out.*b\.png.*data\.train\.image_dir=FOLDER"):
        find_image_folder(root, file, "train", given=None)
    assert find_image_folder(root, file, "train", given=str(store)) == store


def test_the_images_of_cvat_are_found(tmp_path: Path) -> None:
    image = tmp_path / "images/default/a.png"
    image.parent.mkdir(parents=True)
    image.touch()
    path = tmp_path / "annotations/person_keypoints_default.json"
    file = CocoFile(path=path, content={"images": [{"id": 1, "file_name": "a.png"}]}, is_whole=True)
    assert find_image_folder(tmp_path, file, "train", given=None) == image.parent
