from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from sapiens_lab.anatomy.parts import Parts, default_colors
from sapiens_lab.synthetic.people.materials import PART_FLIP, PARTS

SHIPPED = {"goliath28": 28, "seg29": 29, "face19": 19, "lip20": 20, "cihp20": 20}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_lists_are_whole(name: str) -> None:
    parts = Parts.load(name)
    assert parts.num_classes == SHIPPED[name] == len(parts.colors)
    assert parts.flip_indices is not None
    assert (parts.flip_indices[parts.flip_indices] == np.arange(parts.num_classes)).all()
    for place, name in enumerate(parts.classes):
        other = parts.classes[parts.flip_indices[place]]
        assert (other == name) == (not name.startswith(("Left", "Right")))
        assert other.replace("Left", "Right") == name.replace("Left", "Right")
    assert (parts.lookup == np.arange(256)).all()


@pytest.mark.parametrize(
    ("name", "file"),
    [(n, n) for n in SHIPPED if n != "seg29"] + [("seg29", "sapiens2_seg29")],
)
def test_the_shipped_lists_equal_the_official_ones(name: str, file: str, shared: Path) -> None:
    official = json.loads((shared / f"metadata/{file}.json").read_text())
    parts = Parts.load(name)
    names = list(official["classes"])
    if name == "cihp20":
        assert names[10] == "Jumpsuits"  # the official code took LIP's name; CIHP's is another
        names[10] = "Torso-skin"
    assert list(parts.classes) == names
    assert parts.colors.tolist() == official["colors"]
    given = None if parts.weights is None else parts.weights.tolist()
    assert given == official["class_weights"]
    flip = list(range(parts.num_classes))
    for a, b in official["swap_labels"]:
        flip[a], flip[b] = b, a
    assert parts.flip_indices is not None
    assert parts.flip_indices.tolist() == flip


def test_the_renderer_labels_the_same_classes() -> None:
    parts = Parts.load("goliath28")
    assert parts.classes == PARTS
    np.testing.assert_array_equal(parts.flip_indices, PART_FLIP)


def test_a_list_of_plain_names_is_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "# mine\nclasses: [background, left_hand, right_hand, hat]\n")
    with caplog.at_level(logging.INFO):
        parts = Parts.load(path)
    assert parts.name == "mine"
    assert parts.flip_indices is not None
    assert parts.flip_indices.tolist() == [0, 2, 1, 3]
    assert parts.weights is None
    assert "left_hand - right_hand" in caplog.text
    assert parts.index("hat") == 3
    assert Parts.load(parts) is parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("classes: [a, left_hand, right_hand]\nflip_pairs: null\n", "flip_pairs is null"),
        ("classes: [a, left_hand]\n", "left_hand have no partner"),
        ("classes: [class 1, class 2]\n", "numbered"),
    ],
)
def test_flipping_is_off_where_sides_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    assert Parts.load(write(tmp_path, "\n" + text)).flip_indices is None
    assert reason in caplog.text


def test_values_and_names_in_files_become_classes(tmp_path: Path) -> None:
    parts = Parts.load(
        write(
            tmp_path,
            "name: clothes\n"
            "classes:\n"
            "  - background\n"
            '  - {name: shirt, color: "#102030", weight: 2}\n'
            "  - hat\n"
            "flip_pairs: []\n"
            "ignore_index: 7\n"
            "merge: {200: shirt, blouse: shirt, 255: 2}\n"
            "ignore: [9, hat, person]\n",
        )
    )
    changed = np.flatnonzero(parts.lookup != np.arange(256))
    assert {int(v): int(parts.lookup[v]) for v in changed} == {
        2: 255, 7: 255, 9: 255, 200: 1, 255: 2
    }  # fmt: skip
    assert [parts.class_of(n) for n in ("blouse", "shirt", "hat", "person")] == [1, 1, 255, 255]
    assert parts.colors[1].tolist() == [16, 32, 48]
    assert parts.weights is not None
    assert parts.weights.tolist() == [1, 2, 1]
    assert parts.flip_indices is not None
    assert parts.flip_indices.tolist() == [0, 1, 2]


def test_categories_of_a_coco_file(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    names = [{"id": 4, "name": "right arm"}, {"id": 2, "name": "left arm"}]
    path.write_text(json.dumps({"categories": names}))
    parts = Parts.load(path)
    assert parts.classes == ("background", "left arm", "right arm")
    assert parts.flip_indices is not None
    assert parts.flip_indices.tolist() == [0, 2, 1]


def test_default_colors_are_those_of_pascal_voc() -> None:
    expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert default_colors(5).tolist() == expected
    assert default_colors(21)[20].tolist() == [0, 64, 128]  # its television
    assert len({tuple(c) for c in default_colors(255).tolist()}) == 255


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n", "needs a list `classes`"),
        ("classes: [a, a]\n", r"twice: \['a'\]"),
        ("classes: [a]\ncolors: 3\n", "unknown"),
        ("classes: [{color: red}]\n", "has no name"),
        ("classes: [{name: a, weigth: 3}]\n", "weigth"),
        ("classes: [{name: a, color: red}]\n", "#rrggbb"),
        ("classes: [{name: a, weight: -1}]\n", "must not be negative"),
        ("classes: [left_a, right_a]\nflip_pairs: [[left_a, rigt_a]]\n", "near are right_a"),
        ("classes: [a, b, c]\nflip_pairs: [[a, b], [b, c]]\n", "another partner"),
        ("classes: [a]\nmerge: {300: a}\n", "300"),
        ("classes: [a]\nmerge: {3: b}\n", "no class 'b'"),
        ("classes: [a, b\n", "not valid YAML"),
        (f"classes: [{', '.join(f'c{i}x' for i in range(256))}]\n", "at most 255"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Parts.load(write(tmp_path, text))
    assert "mine.yaml" in str(error.value)


def test_a_wrong_name_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="did you mean goliath28"):
        Parts.load("goliath")
    with pytest.raises(ValueError, match="near are Left_Hand"):
        Parts.load("goliath28").index("left_hand")
    path = tmp_path / "no.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"no\.json: not a COCO file"):
        Parts.load(path)
