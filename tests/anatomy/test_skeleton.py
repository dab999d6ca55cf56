"""Keypoint sets: the shipped ones, ones from YAML and COCO files, and what is wrong with others."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.skeleton import DEFAULT_SIGMA, Skeleton
from sapiens_lab.anatomy.yaml_files import read_yaml

SHIPPED = {"coco17": (17, 8), "wholebody133": (133, 61), "goliath308": (308, 146)}
METADATA = {
    "coco17": "coco17.json",
    "wholebody133": "coco_wholebody133.json",
    "goliath308": "goliath308.json",
}


def write(folder: Path, content: Any, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(json.dumps(content) if name.endswith("json") else yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_sets_are_whole(name: str) -> None:
    skeleton = Skeleton.load(name)
    count, pairs = SHIPPED[name]
    flip = skeleton.flip_indices
    assert flip is not None
    assert skeleton.num_keypoints == len(set(skeleton.keypoints)) == len(flip) == count
    assert int((flip != np.arange(count)).sum()) == 2 * pairs
    np.testing.assert_array_equal(flip[flip], np.arange(count))
    assert (skeleton.sigmas > 0).all()
    for i in skeleton.upper_body:
        assert flip[i] in skeleton.upper_body
    for part, members in skeleton.parts.items():
        if "hand" not in part:
            assert {int(flip[i]) for i in members} == set(members), part


@pytest.mark.parametrize("name", SHIPPED)
def test_left_becomes_right(name: str) -> None:
    skeleton = Skeleton.load(name)
    assert skeleton.flip_indices is not None
    for i, keypoint in enumerate(skeleton.keypoints):
        side = sides.side_of(keypoint)
        other = sides.side_of(skeleton.keypoints[skeleton.flip_indices[i]])
        if side != "center" and skeleton.flip_indices[i] != i:
            assert {side, other} == {"left", "right"}, keypoint


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_sets_equal_the_official_metadata(shared: Path, name: str) -> None:
    official = json.loads((shared / "metadata" / METADATA[name]).read_text())
    skeleton = Skeleton.load(name)
    names = official.get("keypoints") or official.get("keypoint_names")
    names = [k["name"] if isinstance(k, dict) else k for k in names]
    assert list(skeleton.keypoints) == names
    np.testing.assert_allclose(skeleton.sigmas, official["sigmas"])
    assert skeleton.flip_indices is not None
    assert skeleton.flip_indices.tolist() == official["flip_indices"]


def test_a_list_of_names_is_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        skeleton = Skeleton.load(write(tmp_path, {"keypoints": ["nose", "left_ear", "right_ear"]}))
    assert skeleton.flip_indices is not None
    assert skeleton.flip_indices.tolist() == [0, 2, 1]
    assert (skeleton.sigmas == DEFAULT_SIGMA).all()
    assert "left_ear - right_ear" in caplog.text


def test_names_without_sides_switch_the_flip_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Skeleton.load(write(tmp_path, {"keypoints": ["a", "b"]})).flip_indices is None
    assert "flipping is off" in caplog.text
    none = write(tmp_path, {"keypoints": ["a", "b"], "flip_pairs": []}, "none.yaml")
    assert Skeleton.load(none).flip_indices is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"keypoints": ["nose", "left_ear", "right_ear"], "flip_pairs": None}, "is null"),
        ({"keypoints": ["left_ear", "right_ear", "left_toe"]}, "left_toe have no partner"),
    ],
)
def test_flipping_is_off_where_sides_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: dict[str, Any], reason: str
) -> None:
    assert Skeleton.load(write(tmp_path, content)).flip_indices is None
    assert reason in caplog.text


def test_a_coco_file_names_its_own_set(tmp_path: Path) -> None:
    category = {
        "name": "horse",
        "keypoints": ["nose", "left_ear", "right_ear"],
        "skeleton": [[1, 2], [1, 3]],
    }
    skeleton = Skeleton.load(write(tmp_path, {"categories": [category]}, "coco.json"))
    assert skeleton.name == "horse"
    assert skeleton.edges == ((0, 1), (0, 2))
    assert skeleton.flip_indices is not None
    assert skeleton.flip_indices.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"points": ["a"]}, "needs a list `keypoints`"),
        ({"keypoints": ["a", "a"]}, r"twice: \['a'\]"),
        ({"keypoints": ["a", "b"], "sigmas": [0.1]}, "1 sigmas for 2 keypoints"),
        ({"keypoints": ["a", "b"], "sigmas": -1}, "sigmas must be positive"),
        ({"keypoints": ["wrist", "elbow"], "edges": [["wrist", "elbo"]]}, "near are elbow"),
        ({"keypoints": ["a", "b"], "flip_pairs": [["a", "b"], ["b", "a"]]}, "another partner"),
        ({"keypoints": ["a"], "color": "red"}, r"unknown \['color'\]"),
        ({"keypoints": [{"name": "a", "half": "center"}]}, "half is upper or lower"),
        ({"keypoints": [{"name": "a", "color": "red"}]}, "#rrggbb"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Skeleton.load(write(tmp_path, content))
    assert "mine.yaml" in str(caught.value)


def _laughs(*, levels: int) -> str:
    """Return a list of two lists of two lists, ..., each two of them one."""
    lines = [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, levels + 1)]
    return "a0: &a0 [x, x]\n" + "".join(lines)


def test_aliases_of_a_yaml_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("x: &a [p, q, r]\ny: &b {c: *a}\nz: *b\nkeypoints: *a\n")
    assert read_yaml(path) == {
        "x": ["p", "q", "r"],
        "y": {"c": ["p", "q", "r"]},
        "z": {"c": ["p", "q", "r"]},
        "keypoints": ["p", "q", "r"],
    }


def test_files_that_are_neither_yaml_nor_coco_are_named(tmp_path: Path) -> None:
    for name, text, message in (
        ("a.yaml", "keypoints: [a\n", r"a\.yaml is not valid YAML"),
        (
            "c.yaml",
            "keypoints: &a [*a]\n",
            r"c\.yaml is not valid YAML: the value of &a holds",
        ),
        ("d.yaml", "&a\nkeypoints: {b: [*a]}\n", r"the value of &a holds itself(.|\n)*line 2"),
        ("e.yaml", _laughs(levels=20), r"e\.yaml is not valid YAML: there are more than 1000000"),
        ("a.json", "{", r"a\.json is not valid JSON.*line 1"),
        ("b.json", "[]", r"b\.json: none of its 0 categories names keypoints"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            Skeleton.load(tmp_path / name)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match="did you mean coco17"):
        Skeleton.load("coco_17")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("left_knee", "right_knee"),
        ("KneeL", "KneeR"),
        ("r.ankle", "l.ankle"),
        ("Right_Foot", "Left_Foot"),
        ("lefthand", "righthand"),
        ("LEFT_EYE", "RIGHT_EYE"),
        ("nose", "nose"),
        ("lower_lip", "lower_lip"),
    ],
)
def test_sides_are_read_off_names(name: str, other: str) -> None:
    assert sides.other_side(name) == other
    assert sides.other_side(other) == name
