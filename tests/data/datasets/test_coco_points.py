"""Keypoints of COCO files selected by name: order, names, ground truth, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.datasets.coco_points import find_columns
from sapiens_lab.data.datasets.coco_pose import CocoPose

NAMES = ["Snout", "left ear", "right ear", "tail", "left paw", "right paw"]
MINE = {
    "keypoints": ["right_hand", "nose", "left_hand"],
    "aliases": {"nose": "snout", "left_hand": "left_paw", "right_hand": ["x", "right_paw"]},
    "edges": [["nose", "left_hand"]],
}


def dataset(folder: Path, *, names: Any = NAMES, **person: Any) -> Path:
    """Write an image with one animal, whose i-th keypoint is at (10 + i, 20 + i)."""
    points = [n for i in range(6) for n in (10 + i, 20 + i, 2)]
    category: dict[str, Any] = {"id": 1, "name": "dog"} | ({"keypoints": names} if names else {})
    content = {
        "images": [{"id": 1, "file_name": "1.png", "height": 64, "width": 64}],
        "categories": [category],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 50, 50], "area": 900,
             "keypoints": points, **person}
        ],
    }  # fmt: skip
    root = folder / "dogs"
    root.mkdir()
    (root / "train.json").write_text(json.dumps(content))
    cv2.imwrite(str(root / "1.png"), np.zeros((64, 64, 3), np.uint8))
    return root


def skeleton(folder: Path, content: Any) -> str:
    (folder / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", **content}))
    return str(folder / "mine.yaml")


def opened(folder: Path, root: Path, content: Any) -> CocoPose:
    return CocoPose(root, split="train", skeleton=skeleton(folder, content), val_fraction=None)


def test_points_are_read_by_their_names_in_the_skeletons_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = opened(tmp_path, dataset(tmp_path), MINE)
    keypoints = data[0].keypoints
    assert keypoints is not None
    assert keypoints.xy.tolist() == [[15, 25], [10, 20], [14, 24]]
    assert keypoints.flip_indices is not None
    assert keypoints.flip_indices.tolist() == [2, 1, 0]
    (truth,) = data.ground_truth()["annotations"]
    assert truth["keypoints"].tolist() == [15, 25, 2, 10, 20, 2, 14, 24, 2]
    assert truth["num_keypoints"] == 3
    assert "mine: 3 of the file's 6 keypoints, by name" in caplog.text


def test_points_that_are_not_selected_do_not_count(tmp_path: Path) -> None:
    """A person of whom only other points are labeled has nothing to learn from."""
    points = [30, 30, 0, *[9, 9, 2] * 3, 30, 31, 0, 30, 32, 0]
    root = dataset(tmp_path, keypoints=points)
    with pytest.raises(ValueError, match="1 have none that is labeled"):
        opened(tmp_path, root, MINE)


def test_another_order_is_read_by_name_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"keypoints": list(reversed(NAMES))}
    data = opened(tmp_path, dataset(tmp_path), content)
    assert data[0].keypoints is not None
    assert data[0].keypoints.xy[:, 0].tolist() == [15, 14, 13, 12, 11, 10]
    assert "mine: the file has these keypoints in another order" in caplog.text


def test_other_names_at_the_same_places_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"keypoints": ["snout", "ear_l", "ear_r", "tail", "left_paw", "right_paw"]}
    data = opened(tmp_path, dataset(tmp_path), content)
    assert data[0].keypoints is not None
    assert data[0].keypoints.xy[:, 0].tolist() == [10, 11, 12, 13, 14, 15]
    assert "names 2 of 6 keypoints differently than 'mine', and the order is taken" in caplog.text
    assert "left ear for ear_l" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"keypoints": ["snout", "left_ears", "right_ears", "wing"]},
            r"6 keypoints, but not 3 of the 4 of 'mine': left_ears \(near: left ear\).*wing.*"
            r"`aliases:` in the skeleton's YAML says .* e\.g\. \{left_ears: NAME\}",
        ),
        ({"keypoints": ["tail", "snout", "a", "b", "c", "d"]}, "6 keypoints, but not 4 of the 6"),
        ({"keypoints": ["snout", "SNOUT"]}, "several keypoints of 'mine' are its Snout"),
    ],
)
def test_names_that_the_file_lacks_are_listed(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message) as caught:
        opened(tmp_path, dataset(tmp_path), content)
    assert "train.json" in str(caught.value)


def test_a_name_that_the_file_has_twice_is_no_name(tmp_path: Path) -> None:
    root = dataset(tmp_path, names=["tail", *NAMES[1:]])
    with pytest.raises(FileNotFoundError, match=r"not 1 of the 2 .*: tail.* more than one tail"):
        opened(tmp_path, root, {"keypoints": ["left_paw", "tail"]})


def test_a_file_without_names_is_read_as_it_stands_or_not_at_all(tmp_path: Path) -> None:
    root = dataset(tmp_path, names=None)
    six = {"keypoints": ["a", "b", "c", "d", "e", "f"]}
    assert len(opened(tmp_path, root, six)) == 1
    with pytest.raises(FileNotFoundError, match="6 keypoints, 'mine' has 3, and no category names"):
        opened(tmp_path, root, MINE)


def test_a_file_without_names_has_those_of_the_base(tmp_path: Path) -> None:
    points = [n for i in range(14) for n in (10 + i, 20 + i, 2)]
    root = dataset(tmp_path, names=None, keypoints=points)
    selected = {"base": "aic14", "keypoints": ["top", "neck"], "aliases": {"top": "head_top"}}
    keypoints = opened(tmp_path, root, selected)[0].keypoints
    assert keypoints is not None
    assert keypoints.xy.tolist() == [[22, 32], [23, 33]]
    with pytest.raises(
        FileNotFoundError, match="14 keypoints, 'mine' has 2, and no category names"
    ):
        opened(tmp_path, root, {**selected, "base": "mpii16", "keypoints": ["top", "pelvis"]})


@pytest.mark.parametrize(
    ("count", "shown"), [(68, "skeleton=face68"), (14, "skeleton=aic14 or skeleton=crowdpose14")]
)
def test_shipped_sets_of_a_files_size_are_named(
    tmp_path: Path, count: int, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    points = [n for i in range(count) for n in (10 + i % 30, 10 + i % 7, 2)]
    root = dataset(tmp_path, names=[], keypoints=points)
    with pytest.raises(FileNotFoundError, match=f"{count} keypoints.*If they are a known.*{shown}"):
        opened(tmp_path, root, MINE)
    name = shown.split()[-1].split("=")[1]
    assert len(CocoPose(root, split="train", skeleton=name, val_fraction=None)) == 1
    numbered = Skeleton.load(root / "train.json")
    assert numbered.num_keypoints == count
    assert numbered.flip_indices is None
    assert f"names its {count} keypoints; they are numbered, and flipping is off" in caplog.text
    assert shown in caplog.text


def test_the_five_lists_of_the_whole_body_have_names(tmp_path: Path) -> None:
    def points(count: int, start: float) -> list[float]:
        return [n for i in range(count) for n in (start + i, 5.0, 2)]

    lists = {"keypoints": points(17, 0), "foot_kpts": points(6, 100), "face_kpts": points(68, 200),
             "lefthand_kpts": points(21, 300), "righthand_kpts": points(21, 400)}  # fmt: skip
    body = {"id": 1, "name": "person", "keypoints": list(Skeleton.load("coco17").keypoints)}
    content = {"annotations": [{"category_id": 1, **lists}], "categories": [body]}

    def xs(names: list[str]) -> tuple[list[float], int]:
        columns = find_columns(content, Skeleton.load(skeleton(tmp_path, {"keypoints": names})))
        numbers = np.array([columns.numbers(content["annotations"][0])])
        return columns.select(numbers)[0, :, 0].tolist(), columns.count

    assert xs(["face-8", "nose", "right_pinky_finger4", "left_heel"]) == ([208, 0, 420, 102], 133)
    assert xs(["right_ankle", "nose"]) == ([16, 0], 17)  # the body's own list is enough
    whole = find_columns(content, Skeleton.load("wholebody133"))
    assert (whole.count, whole.columns) == (133, None)
    assert find_columns(content, Skeleton.load("coco17")).columns is None
    with pytest.raises(ValueError, match=r"133 keypoints.*not 1 of the 2.*tip_of_chin"):
        xs(["nose", "tip_of_chin"])


def test_an_own_selection_of_the_shared_sample(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    aliases = {"chin": "face-8", "left_hand": "left_wrist", "right_hand": "right_wrist"}
    content = {"base": "wholebody133", "keypoints": list(aliases), "aliases": aliases}
    caplog.set_level(logging.INFO)
    root = shared / "data" / "coco_tiny"
    mine = opened(tmp_path, root, content)
    whole = CocoPose(root, split="train", skeleton="wholebody133", val_fraction=None)
    by_id = {whole[i].meta.id: whole[i].keypoints for i in range(len(whole))}
    assert "mine: 3 of the file's 133 keypoints, by name" in caplog.text
    for i in range(len(mine)):
        keypoints, full = mine[i].keypoints, by_id[mine[i].meta.id]
        assert keypoints is not None
        assert full is not None
        np.testing.assert_array_equal(keypoints.xy, full.xy[[31, 9, 10]])
        np.testing.assert_array_equal(keypoints.visible, full.visible[[31, 9, 10]])
