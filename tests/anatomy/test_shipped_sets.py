"""The shipped keypoint sets: invariants, places that their sources state, the page of all."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.skeleton import Skeleton, suggest_shipped
from tests.conftest import ROOT

# Left/right pairs of each set, counted by hand.
PAIRS = {
    "coco17": 8, "wholebody133": 61, "goliath308": 146,
    "openpose18": 8, "openpose25": 11, "halpe26": 11, "halpe136": 61, "mediapipe33": 16,
    "crowdpose14": 6, "aic14": 6, "mpii16": 6,
    "face68": 29, "face98": 44, "face29": 11, "face106": 48,
}  # fmt: skip
# Places that the sources state.
PLACES = {
    "openpose18": {"nose": 0, "neck": 1, "right_wrist": 4, "left_shoulder": 5, "right_hip": 8,
                   "left_ankle": 13, "right_eye": 14, "left_ear": 17},
    "openpose25": {"neck": 1, "mid_hip": 8, "right_ankle": 11, "left_ankle": 14, "left_ear": 18,
                   "left_big_toe": 19, "right_heel": 24},
    "halpe26": {"right_ankle": 16, "head": 17, "neck": 18, "hip": 19, "left_big_toe": 20,
                "right_big_toe": 21, "left_small_toe": 22, "right_heel": 25},
    "halpe136": {"right_heel": 25, "face-0": 26, "face-67": 93, "left_hand_root": 94,
                 "right_hand_root": 115, "right_pinky_finger4": 135},
    "mediapipe33": {"left_eye_inner": 1, "right_ear": 8, "mouth_left": 9, "left_wrist": 15,
                    "left_thumb": 21, "right_hip": 24, "left_heel": 29, "right_foot_index": 32},
    "crowdpose14": {"left_shoulder": 0, "right_ankle": 11, "head": 12, "neck": 13},
    "aic14": {"right_shoulder": 0, "left_shoulder": 3, "right_hip": 6, "left_ankle": 11,
              "head_top": 12, "neck": 13},
    "mpii16": {"right_ankle": 0, "left_hip": 3, "pelvis": 6, "thorax": 7, "head_top": 9,
               "right_wrist": 10, "left_wrist": 15},
    "face98": {"jaw_16": 16, "right_brow_0": 33, "left_brow_0": 42, "nose_bridge_0": 51,
               "right_eye_0": 60, "left_eye_0": 68, "mouth_outer_0": 76, "right_pupil": 96},
    "face29": {"right_brow_outer": 0, "right_eye_top": 12, "right_pupil": 16, "nose_tip": 20,
               "mouth_right": 22, "chin": 28},
    "face106": {"jaw_32": 32, "left_brow_0": 42, "nose_side_0": 55, "right_eye_center": 74,
                "left_eye_0": 75, "mouth_outer_0": 84, "right_pupil": 104, "left_pupil": 105},
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_set_is_whole(name: str) -> None:
    skeleton = Skeleton.load(name)
    count, flip = skeleton.num_keypoints, skeleton.flip_indices
    assert name.endswith(str(count))
    assert suggest_shipped(count)
    assert flip is not None
    np.testing.assert_array_equal(flip[flip], np.arange(count))
    assert int((flip != np.arange(count)).sum()) == 2 * PAIRS[name]
    assert (skeleton.sigmas > 0).all()
    if name in PLACES:
        assert {point: skeleton.index(point) for point in PLACES[name]} == PLACES[name]


@pytest.mark.parametrize("name", PAIRS)
def test_left_and_right_follow_the_names(name: str) -> None:
    skeleton = Skeleton.load(name)
    assert skeleton.flip_indices is not None
    for i, keypoint in enumerate(skeleton.keypoints):
        partner = skeleton.keypoints[skeleton.flip_indices[i]]
        side, other = sides.side_of(keypoint), sides.side_of(partner)
        if side == "center":
            assert other == "center", keypoint
        else:
            assert {side, other} == {"left", "right"}, keypoint


@pytest.mark.parametrize("name", sorted(set(PAIRS) - {"goliath308"}))
def test_edges_and_midpoints_are_symmetric(name: str) -> None:
    skeleton = Skeleton.load(name)
    flip = skeleton.flip_indices
    assert flip is not None
    edges = Counter(frozenset(edge) for edge in skeleton.edges)
    assert all(len(edge) == 2 for edge in edges)
    assert max(edges.values()) == 1
    assert {frozenset(int(flip[i]) for i in edge) for edge in edges} == set(edges)
    for a, b in skeleton.midpoints.values():
        assert flip[a] == b


def test_an_alias_of_a_shipped_set_agrees_with_its_flip() -> None:
    """A keypoint's partner is called what is the partner among the 68 landmarks of a face."""
    face = Skeleton.load("face68")
    assert face.flip_indices is not None
    for name in ("goliath308", "mediapipe33", "face98", "face29", "face106"):
        skeleton = Skeleton.load(name)
        assert skeleton.flip_indices is not None
        called = {k: a for k, (a, *_) in skeleton.aliases.items() if a.startswith("face-")}
        assert called
        for keypoint, alias in called.items():
            partner = skeleton.keypoints[skeleton.flip_indices[skeleton.index(keypoint)]]
            expected = face.keypoints[face.flip_indices[face.index(alias)]]
            assert called[partner] == expected, (name, keypoint)


def test_the_page_lists_every_set() -> None:
    page = (ROOT / "docs/skeletons.md").read_text()
    table = page.split("## Shipped sets")[1].split("## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named - {"skeleton"} == set(PAIRS)


def test_sets_of_a_size_are_suggested() -> None:
    assert suggest_shipped(68) == "skeleton=face68"
    assert suggest_shipped(14) == "skeleton=aic14 or skeleton=crowdpose14"
    assert suggest_shipped(8) == suggest_shipped(308008) == ""
