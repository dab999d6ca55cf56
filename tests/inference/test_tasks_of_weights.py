"""What weights say of themselves becomes a task, and damaged words an error that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.inference.loading import load_network
from sapiens_lab.inference.tasks_of_weights import parts_of, skeleton_of
from sapiens_lab.tasks.pose import PoseTask
from sapiens_lab.tasks.segmentation import SegmentationTask
from tests.inference.conftest import export

HAND = """
name: hand3
keypoints: [wrist, {name: left_side, color: "#123456"}, right_side]
edges: [[wrist, left_side], [wrist, right_side]]
"""
CLOTHES = """
name: clothes
classes: [background, {name: shirt, color: "#00ff00"}, trousers]
"""


def test_a_skeleton_of_ones_own_comes_back(tmp_path: Path) -> None:
    (path := tmp_path / "hand.yaml").write_text(HAND)
    task = PoseTask(skeleton=str(path), loss=None, metrics={})  # type: ignore[arg-type]
    described = json.loads(json.dumps(task.metadata()))
    found = skeleton_of(described, 3, "file")
    assert found.keypoints == ("wrist", "left_side", "right_side")
    assert found.edges == ((0, 1), (0, 2))
    np.testing.assert_array_equal(found.flip_indices, [0, 2, 1])
    assert found.colors.shape == (3, 3)
    assert found.edge_colors.shape == (2, 3)


def test_shipped_lists_keep_their_colors() -> None:
    coco = Skeleton.load("coco17")
    found = skeleton_of(
        {"meaning": {"skeleton": list(coco.keypoints)}, "skeleton": "coco17"}, 17, ""
    )
    np.testing.assert_array_equal(found.colors, coco.colors)
    np.testing.assert_array_equal(found.flip_indices, coco.flip_indices)
    goliath = Parts.load("goliath28")
    values = {"meaning": {"parts": list(goliath.classes)}, "parts": "goliath28"}
    np.testing.assert_array_equal(parts_of(values, 28, "").colors, goliath.colors)


def test_classes_of_ones_own_come_back(tmp_path: Path) -> None:
    (path := tmp_path / "clothes.yaml").write_text(CLOTHES)
    task = SegmentationTask(parts=str(path), loss=None, metrics={})  # type: ignore[arg-type]
    found = parts_of(json.loads(json.dumps(task.metadata())), 3, "file")
    assert found.classes == ("background", "shirt", "trousers")
    assert found.colors[1].tolist() == [0, 255, 0]


def test_outputs_without_names_are_numbered_and_no_path_is_followed(tmp_path: Path) -> None:
    (path := tmp_path / "hand.yaml").write_text(HAND)
    found = skeleton_of({"skeleton": str(path)}, 3, "file")
    assert found.keypoints == ("keypoint 1", "keypoint 2", "keypoint 3")
    assert parts_of({}, 2, "file").classes == ("class 1", "class 2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"flip_indices": [0, 0, 1]}}, "flip_indices are no permutation of 17"),
        ({"task": {"flip_indices": 3}}, "description is damaged"),
        ({"task": {"edges": 5, "skeleton": "mine"}}, "description is damaged"),
        ({"task": {"meaning": {"skeleton": ["nose"]}}}, "names 1 of its 17 outputs"),
        ({"task": {"name": "albedo"}}, "is a model for albedo"),
        ({"input": {"crop": "center"}}, "does not say how images are cropped"),
        ({"input": {"crop": "box", "box_padding": -1}}, "box_padding of -1.0"),
        ({"input": {"crop": "box", "box_padding": []}}, "description is damaged"),
    ],
)
def test_a_damaged_description_is_refused(
    change: dict[str, dict[str, Any]], message: str, tmp_path: Path
) -> None:
    folder = export(tmp_path, "pose", crop="box")
    config = json.loads((folder / "config.json").read_text())
    for key, values in change.items():
        config[key] |= values
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as raised:
        load_network(folder)
    assert str(tmp_path) in str(raised.value)
