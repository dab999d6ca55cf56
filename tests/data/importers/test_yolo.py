"""YOLO-pose and YOLO-seg."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab.data.importers import recognize
from tests.data.importers import sources


@pytest.mark.parametrize("dims", [2, 3])
def test_fractions_become_pixels(tmp_path: Path, dims: int) -> None:
    """0.25 of 80 columns is 20, 0.5 of 40 rows is 20; a box is given by its center."""
    importer = recognize(sources.yolo_pose(tmp_path, dims=dims))
    assert importer is not None
    assert importer.name == "yolo"
    assert importer.find(tmp_path) == "YOLO-pose data (data.yaml)"
    found = importer.read(tmp_path)
    assert [(i.name, i.subset, i.size) for i in found.images] == [
        ("train/images/a.jpg", "train", (40, 80)),
        ("valid/images/b.jpg", "val", (40, 80)),
    ]
    (person,) = found.images[0].instances
    assert person.label == "person"
    # With two values a point, all but (0, 0) are visible.
    assert person.keypoints == {"1": (20, 20, 2), "2": (40, 10, 1 if dims == 3 else 2)}
    assert person.box == (10, 10, 70, 30)
    assert found.point_sets["person"].names == ["1", "2", "3"]
    assert found.point_sets["person"].flip_pairs == [("2", "3")]
    assert not found.dropped.counts


def test_names_of_keypoints(tmp_path: Path) -> None:
    sources.yolo_pose(tmp_path)
    path = tmp_path / "data.yaml"
    path.write_text(path.read_text() + "kpt_names: {0: [nose, left_eye, right_eye]}\n")
    importer = recognize(tmp_path)
    assert importer is not None
    person = importer.read(tmp_path).images[0].instances[0]
    assert list(person.keypoints) == ["nose", "left_eye"]


def test_outlines(tmp_path: Path) -> None:
    importer = recognize(sources.yolo_seg(tmp_path))
    assert importer is not None
    assert importer.find(tmp_path) == "YOLO-seg data (data.yaml)"
    found = importer.read(tmp_path)
    (region,) = found.images[0].instances
    assert (region.label, region.polygons) == ("shirt", [[20, 10, 60, 10, 60, 30, 20, 30]])
    assert found.classes == ["shirt", "hat"]
    assert found.dropped.counts == {
        "boxes without keypoints or outline": 1,
        "rows of a class that data.yaml does not name": 1,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kpt_shape: [1000000000, 3]", "1 to 2000 keypoints"),
        ("kpt_shape: [3, 4]", r"\[number of keypoints, 2 or 3\]"),
        ("kpt_shape: [3, 3]\nflip_idx: [0, 2]", "flip_idx must list"),
        ("kpt_shape: [3, 3]\nflip_idx: [1, 2, 0]", "exchange pairs"),
        ("kpt_shape: [3, 3]\nkpt_names: [a, a, b]", "3 different names"),
    ],
)
def test_what_data_yaml_must_not_say(tmp_path: Path, line: str, message: str) -> None:
    sources.text(tmp_path / "data.yaml", f"names: [person]\ntrain: images\n{line}\n")
    importer = recognize(tmp_path)
    assert importer is not None
    with pytest.raises(ValueError, match=message):
        importer.read(tmp_path)


def test_rows_that_make_no_sense(tmp_path: Path) -> None:
    sources.yolo_pose(tmp_path)
    rows = ["0 0.5 0.5 1 1 nan 0.5 2 0.5 0.5 2 0.5 9 2", "0 1 2 3", "-1 0 0 0 0", "x y", "1e9 0 0"]
    sources.text(tmp_path / "train/labels/a.txt", "\n".join(rows))
    importer = recognize(tmp_path)
    assert importer is not None
    found = importer.read(tmp_path)
    assert found.images[0].instances[0].keypoints == {"2": (40, 20, 2)}
    assert found.dropped.counts == {
        "points or shapes that are no numbers, or more than an image's size outside of it": 2,
        "rows that do not have 5 + 3 x 3 numbers": 1,
        "rows that do not begin with a class number": 2,
        "rows of a class that data.yaml does not name": 1,
    }
