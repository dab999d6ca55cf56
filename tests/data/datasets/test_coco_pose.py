"""People of COCO files in every layout, and every mistake answered with item and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sapiens_lab.data.datasets.coco_pose import CocoPose

NAMES = ["nose", "left_ear", "right_ear"]


def person(number: int, image: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [10.0, 10.0, 30.0, 40.0],
        "area": 800.0,
        "iscrowd": 0,
        "keypoints": [20, 20, 2, 25, 15, 1, 15, 15, 0],
        **changes,
    }


def content(people: list[dict[str, Any]] | None = None, images: int = 1) -> dict[str, Any]:
    return {
        "images": [
            {"id": i, "file_name": f"{i:03d}.png", "height": 64, "width": 64}
            for i in range(1, images + 1)
        ],
        "annotations": [person(1)] if people is None else people,
        "categories": [{"id": 1, "name": "thing", "keypoints": NAMES}],
    }


def write(folder: Path, data: Any, *, annotations: str, images: str) -> Path:
    file = folder / annotations
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    for image in data.get("images", []) if isinstance(data, dict) else []:
        path = folder / images / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 64, 3), image["id"], np.uint8))
    return file


def coco(folder: Path, data: Any, **changes: Any) -> CocoPose:
    """A dataset in COCO's own layout, its skeleton taken from the file."""
    file = write(
        folder, data, annotations="annotations/person_keypoints_train.json", images="train"
    )
    good = folder.with_suffix(".json")  # beside the dataset, or it would be taken for one
    good.write_text(json.dumps(content()))
    arguments = {"split": "train", "skeleton": str(good), **changes}
    assert file.is_file()
    return CocoPose(folder, **arguments)


def test_a_person_is_read_as_annotated(tmp_path: Path) -> None:
    data = coco(tmp_path, content())
    sample = data[0]
    assert len(data) == 1
    assert sample.keypoints is not None
    assert sample.keypoints.xy.tolist() == [[20, 20], [25, 15], [0, 0]]
    assert sample.keypoints.visible.tolist() == [2, 1, 0]
    assert sample.keypoints.flip_indices is not None
    assert sample.keypoints.flip_indices.tolist() == [0, 2, 1]
    assert sample.bbox.tolist() == [10, 10, 40, 50]
    assert sample.image.pixels[0, 0].tolist() == [1, 1, 1]
    assert (sample.meta.id, sample.meta.image_id) == (1, 1)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("train/_annotations.coco.json", "train"),
        ("annotations.json", "images"),
        ("labels.json", "."),
    ],
)
def test_usual_layouts_are_found(tmp_path: Path, annotations: str, images: str) -> None:
    people = [person(i, image=i) for i in range(1, 4)]
    file = write(tmp_path, content(people, images=3), annotations=annotations, images=images)
    assert CocoPose(tmp_path, split="train", skeleton=str(file))[0].image.size == (64, 64)


def test_one_file_is_divided_whatever_its_order(tmp_path: Path) -> None:
    people = [person(i, image=i) for i in range(1, 31)]
    data = content(people, images=30)
    file = write(tmp_path, data, annotations="all.json", images="images")

    def names(split: Any) -> set[str]:
        found = CocoPose(tmp_path, split=split, skeleton=str(file), val_fraction=0.2)
        return {Path(found[i].meta.path).name for i in range(len(found))}

    first = names("val")
    assert len(first) == 6
    assert not first & names("train")
    data["images"].reverse()
    file.write_text(json.dumps(data))
    assert names("val") == first


def test_crowds_and_people_without_points_do_not_train_but_crowds_count(tmp_path: Path) -> None:
    crowd = person(2, iscrowd=1)
    empty = person(3, keypoints=[0] * 9)
    data = coco(tmp_path, content([person(1), crowd, empty]))
    assert len(data) == 1
    assert [a["iscrowd"] for a in data.ground_truth()["annotations"]] == [0, 1, 0]


def test_a_confidence_is_a_visible_point(tmp_path: Path) -> None:
    """COCO-WholeBody stores how sure it is of hands and faces in place of a flag."""
    data = coco(tmp_path, content([person(1, keypoints=[9, 9, 0.3, 9, 9, 0, 8, 8, 1])]))
    points = data[0].keypoints
    assert points is not None
    assert points.visible.tolist() == [2, 0, 1]


def test_the_lists_of_the_whole_body_are_joined(tmp_path: Path) -> None:
    def points(count: int, start: float) -> list[float]:
        return [n for i in range(count) for n in (start + i, 5.0, 2)]

    lists = {"keypoints": points(17, 0), "foot_kpts": points(6, 100), "face_kpts": points(68, 200),
             "lefthand_kpts": points(21, 300), "righthand_kpts": points(21, 400)}  # fmt: skip
    data = content([person(1, **lists)])
    data["images"] = [{"id": 1, "file_name": "001.png"}]  # of any size
    write(tmp_path, data, annotations="annotations/wholebody_train.json", images="train")
    cv2.imwrite(str(tmp_path / "train/001.png"), np.zeros((480, 640, 3), np.uint8))
    xy = CocoPose(tmp_path, split="train", skeleton="wholebody133")[0].keypoints
    assert xy is not None
    assert xy.xy[[0, 17, 23, 91, 112, 132], 0].tolist() == [0, 100, 200, 300, 400, 420]


def test_boxes_of_a_detector_replace_the_annotated_ones(tmp_path: Path) -> None:
    found = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [5, 5, 9, 9], "score": 0.1},
        {"image_id": 1, "category_id": 2, "bbox": [5, 5, 9, 9], "score": 0.9},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(found))
    data = coco(tmp_path, content(), box_file="boxes.json", min_box_score=0.3)
    assert len(data) == 1
    assert data[0].meta.bbox.tolist() == [1, 2, 4, 6]
    assert data[0].meta.bbox_score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{not json", r"not valid JSON.*line 1"),
        ([{"score": 1}], "its top level is a list"),
        ({"annotations": []}, "it has no images and no annotations"),
        (content([person(1, keypoints=[1, 1, 2] * 5)]), "its people have 5 keypoints, .* has 3"),
        (
            content([person(1), person(2, keypoints=[1, 1, 2])]),
            r"1 of 2 people do not have the 3 keypoints.*id 2",
        ),
        (content([person(1, keypoints=[0] * 9)]), "no person has a labeled keypoint"),
        (
            content([person(1, keypoints=[0.2, 0.5, 2, 0.1, 0.3, 2, 0.5, 0.5, 2])]),
            "multiply by width and height",
        ),
        (
            content([person(7, bbox=[5, 5, 0, 10]), person(8, keypoints=[9, 9, 2] * 2 + [0] * 3)]),
            r"no area.*id 7.*on_error=skip",
        ),
        (
            content([person(i, bbox=[30, 30, 60, 60]) for i in range(5)]),
            r"\[x1, y1, x2, y2\].*Subtract",
        ),
    ],
)
def test_faulty_annotations_are_named_with_the_remedy(
    tmp_path: Path, data: Any, message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        coco(tmp_path, data)
    assert "person_keypoints_train.json" in str(caught.value)


def test_no_folder_no_file_no_images(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        CocoPose(tmp_path / "absent", split="train", skeleton="coco17")
    with pytest.raises(FileNotFoundError, match=r"(?s)no JSON file.*annotation_file=FILE"):
        CocoPose(tmp_path, split="train", skeleton="coco17")
    with pytest.raises(FileNotFoundError, match=r"there is no annotation file .*other\.json"):
        coco(tmp_path, content(), annotation_file="other.json")
    file = tmp_path / "train" / "001.png"
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"001\.png.*image_dir=FOLDER"):
        coco_again(tmp_path)


def coco_again(folder: Path, **changes: Any) -> CocoPose:
    return CocoPose(folder, split="train", skeleton=str(folder.with_suffix(".json")), **changes)


def test_missing_images_are_named_five_at_a_time_or_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    coco(tmp_path, content([person(i, image=i) for i in range(1, 11)], images=10))
    for i in range(3, 11):
        (tmp_path / "train" / f"{i:03d}.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"8 of 10 images.*003.*007\.png, \.\.\..*skip"):
        coco_again(tmp_path)
    data = coco_again(tmp_path, on_error="skip")
    assert len(data) == 2
    assert [data.image_id(i) for i in range(2)] == [data[i].meta.image_id for i in range(2)]
    assert len(data.ground_truth()["images"]) == 2  # nobody can be found in an image that is gone
    assert "left out" in caplog.text


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    data = coco(tmp_path, content([person(i, image=i) for i in (1, 2)], images=2))
    path = tmp_path / "train" / "001.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"001\.png is truncated"):
        data[0]
