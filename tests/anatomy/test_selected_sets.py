"""Keypoint sets that select and rename those of another: ``base:`` and ``aliases:``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sapiens_lab.anatomy.matching import match_names, places_of
from sapiens_lab.anatomy.skeleton import Skeleton

MINE: dict[str, Any] = {
    "base": "wholebody133",
    "keypoints": ["right_hand", "nose", "left_hand", "cheek_r", "cheek_l"],
    "aliases": {
        "right_hand": "right_wrist",
        "left_hand": ["left_paw", "left_wrist"],
        "cheek_r": "face-2",
        "cheek_l": "face-14",
    },
}


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_what_a_set_does_not_say_comes_from_its_base(tmp_path: Path) -> None:
    """The pairs of the face are in no name: they follow from the base."""
    skeleton = Skeleton.load(write(tmp_path, MINE))
    assert skeleton.keypoints == tuple(MINE["keypoints"])
    assert skeleton.sigmas.tolist() == [0.062, 0.026, 0.062, 0.044, 0.043]
    assert skeleton.flip_indices is not None
    assert skeleton.flip_indices.tolist() == [2, 1, 0, 4, 3]
    assert skeleton.parts == {"body": (0, 1, 2), "face": (3, 4)}
    assert skeleton.upper_body == (0, 1, 2)
    assert skeleton.aliases["left_hand"] == ("left_paw", "left_wrist")


def test_edges_between_selected_points_are_kept(tmp_path: Path) -> None:
    names = ["left_elbow", "left_knee", "left_wrist", "right_elbow", "right_wrist", "right_knee"]
    skeleton = Skeleton.load(write(tmp_path, {"base": "coco17", "keypoints": names}))
    assert set(skeleton.edges) == {(0, 2), (3, 4)}
    assert skeleton.edge_colors.tolist() == [[0, 255, 0], [255, 128, 0]]


def test_what_a_set_says_itself_counts(tmp_path: Path) -> None:
    skeleton = Skeleton.load(
        write(tmp_path, {**MINE, "sigmas": 0.5, "edges": [["nose", "left_hand"]]})
    )
    assert (skeleton.sigmas == 0.5).all()
    assert skeleton.edges == ((1, 2),)
    off = Skeleton.load(
        write(tmp_path, {"base": "coco17", "keypoints": ["left_eye"], "flip_pairs": None})
    )
    assert off.flip_indices is None


def test_new_points_beside_those_of_the_base(tmp_path: Path) -> None:
    names = ["nose", "left_tool", "right_tool", "left_eye", "right_eye"]
    path = write(tmp_path, {"base": "coco17", "keypoints": names})
    flip = Skeleton.load(path).flip_indices
    assert flip is not None
    assert flip.tolist() == [0, 2, 1, 4, 3]
    alone = tmp_path / "alone"
    alone.mkdir()
    path = write(alone, {"base": "coco17", "keypoints": ["left_tool", "left_eye", "right_eye"]})
    assert Skeleton.load(path).flip_indices is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "coco_17"}, r"base is the name of a shipped set \(aic14, .*not 'coco_17'"),
        ({"aliases": {}, "keypoints": ["horn"]}, r"base wholebody133 has none .*: horn.*aliases"),
        ({"keypoints": ["left_eye", "nose"], "aliases": {}}, "half here: left_eye without right_e"),
        ({"aliases": ["nose"]}, "`aliases` must be a table"),
        ({"aliases": {"nos": "nose"}}, "no keypoint 'nos'; near are nose"),
        ({"aliases": {"cheek_r": {"a": 1}}}, "a name or a list of names"),
        ({"aliases": {"cheek_r": "nose"}}, "nose cannot be an alias of cheek_r: it names nose"),
        (
            {"aliases": {"cheek_r": "x", "cheek_l": "x"}},
            r"x cannot be an alias of cheek_r: it names cheek_l",
        ),
        ({"keypoints": ["nose", "Nose"], "aliases": {}}, "two of its keypoints are the same one"),
        ({"midpoints": {"nose": ["cheek_r"]}}, "`midpoints` must be a table"),
        ({"midpoints": {"nose": ["cheek_r", "chee"]}}, "no keypoint 'chee'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Skeleton.load(write(tmp_path, {**MINE, **changes}))
    assert "mine.yaml" in str(caught.value)


def test_names_match_by_spelling_then_loosely_then_by_alias() -> None:
    places = {"Left Eye": 0, "left_eye": 1, "Right-Ear": 2, "snout": 3, "NOSE": 4}
    names = ["left_eye", "right_ear", "nose", "muzzle", "tail", "lefteye"]
    aliases = {"nose": ["snout"], "muzzle": ["beak", "snout"]}
    # lefteye could be either of two names, so it is neither
    assert match_names(names, places, aliases) == [1, 2, 4, 3, None, None]
    assert places_of(["a", "b"], {"a": ["c", "b"]}) == {"a": 0, "b": 1, "c": 0}


def test_the_order_is_that_of_the_set(tmp_path: Path) -> None:
    whole = Skeleton.load("coco17")
    names = list(reversed(whole.keypoints))
    skeleton = Skeleton.load(write(tmp_path, {"base": "coco17", "keypoints": names}))
    np.testing.assert_array_equal(skeleton.sigmas, whole.sigmas[::-1])
    assert whole.flip_indices is not None
    np.testing.assert_array_equal(skeleton.flip_indices, 16 - whole.flip_indices[::-1])
    assert {(16 - a, 16 - b) for a, b in skeleton.edges} == set(whole.edges)
