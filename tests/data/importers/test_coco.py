"""COCO's JSON, as CVAT and Roboflow export it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.data.importers import recognize
from sapiens_lab.data.importers.annotated import Annotated
from tests.data.importers import sources


def content(*annotations: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 40, "width": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **a} for a in annotations],
        "categories": [
            {"id": 1, "name": "person", "keypoints": ["nose", "eye"], "skeleton": [[1, 2], [0, 9]]}
        ],
    }


def read(root: Path) -> Annotated:
    importer = recognize(root)
    assert importer is not None
    assert importer.name == "coco"
    return importer.read(root)


def test_an_export_of_cvat(tmp_path: Path) -> None:
    sources.image(tmp_path / "images/default/a.jpg")
    rows = {"keypoints": [10, 12, 2, 0, 0, 0], "bbox": [5, 6, 20, 30]}
    square = {"segmentation": [[1, 1, 9, 1, 9, 9]], "bbox": [0, 0, 0, 0], "iscrowd": 1}
    sources.dump(tmp_path / "annotations/person_keypoints_default.json", content(rows, square))
    found = read(tmp_path)
    person, region = found.images[0].instances
    assert (person.keypoints, person.box) == ({"nose": (10, 12, 2)}, (5, 6, 25, 36))
    assert (region.polygons, region.box, region.is_crowd) == ([[1, 1, 9, 1, 9, 9]], None, True)
    assert found.point_sets["person"].edges == [("nose", "eye")]


def test_an_export_of_roboflow(tmp_path: Path) -> None:
    """The same name in several folders is the one beside the file; the folder is the subset."""
    for split in ("train", "valid"):
        sources.image(tmp_path / split / "a.jpg")
        rows = {"keypoints": [10 + len(split), 12, 1, 0, 0, 0]}
        sources.dump(tmp_path / split / "_annotations.coco.json", content(rows))
    found = read(tmp_path)
    assert [(i.name, i.subset) for i in found.images] == [
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "valid"),
    ]
    assert [i.instances[0].keypoints["nose"][0] for i in found.images] == [15, 15]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_lists_that_are_none(tmp_path: Path, key: str) -> None:
    sources.dump(tmp_path / "a.json", {**content({"keypoints": [1, 2, 2]}), key: {"a": 1}})
    with pytest.raises(ValueError, match=f"`{key}` is no list"):
        read(tmp_path)


def test_rows_that_make_no_sense(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    rows: list[Any] = [
        {"keypoints": [1, 2, 2, float("nan"), 1, 2]}, {"image_id": 9}, {"category_id": [1]},
        {"segmentation": {"size": [3, 4], "counts": [12]}}, {"bbox": "x"}, {"keypoints": 5},
    ]  # fmt: skip
    sources.dump(tmp_path / "a.json", content(*rows))
    found = read(tmp_path)
    assert [i.keypoints for i in found.images[0].instances] == [{"nose": (1, 2, 2)}]
    assert sum(found.dropped.counts.values()) == 7


def test_whole_bodies_are_joined(tmp_path: Path) -> None:
    """Five lists of COCO-WholeBody; the confidence of faces and hands is no visibility."""
    sources.image(tmp_path / "a.jpg")
    counts = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21}
    lists = {key: [5, 6, 0.4] * count for key, count in counts.items()}
    sources.dump(tmp_path / "a.json", content({**lists, "righthand_kpts": [7, 8, 1] * 21}))
    (person,) = read(tmp_path).images[0].instances
    assert len(person.keypoints) == 133
    assert person.keypoints["left_big_toe"] == (5, 6, 2)
    assert person.keypoints["right_hand_root"] == (7, 8, 1)


def test_two_files_of_the_same_images_are_not_mixed(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    for name in ("instances", "person_keypoints"):
        sources.dump(tmp_path / f"{name}.json", content({"keypoints": [1, 2, 2, 3, 4, 2]}))
    with pytest.raises(ValueError, match=r"both annotate a\.jpg; move one away"):
        read(tmp_path)


def test_captions_and_panoptic_files_are_left_out(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    sources.dump(tmp_path / "person_keypoints.json", content({"keypoints": [1, 2, 2, 3, 4, 2]}))
    sources.dump(tmp_path / "captions.json", content({"caption": "x"}))
    sources.dump(tmp_path / "panoptic.json", content({"file_name": "a.png", "segments_info": []}))
    found = read(tmp_path)
    assert len(found.images[0].instances) == 1
    assert found.dropped.counts == {"files without keypoints or regions": 2}
