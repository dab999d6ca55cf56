"""Keypoints of one set as those of another, by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sapiens_lab.anatomy import convert_points, missing_points
from sapiens_lab.anatomy.skeleton import Skeleton
from tests.conftest import ROOT
from tests.documentation import code_blocks

SETS = ("coco17", "wholebody133", "goliath308", "openpose18", "openpose25", "halpe26",
        "mediapipe33", "mpii16", "face98", "face106")  # fmt: skip


def numbered(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return points at (i, 2 i) with score (i + 1) / 1000."""
    i = np.arange(Skeleton.load(name).num_keypoints, dtype=np.float64)
    return np.stack([i, 2 * i], -1), (i + 1) / 1000


def test_goliath_to_wholebody_to_coco() -> None:
    body = convert_points(*numbered("goliath308"), "goliath308", "wholebody133")
    # left_wrist is 62 there and right_wrist 41; right_forefinger4 is 25, its base 28
    assert body.xy[[0, 9, 10, 17]].tolist() == [[0, 0], [62, 124], [41, 82], [15, 30]]
    whole = Skeleton.load("wholebody133")
    fingers = [whole.index("right_forefinger4"), whole.index("right_forefinger1")]
    assert body.xy[fingers, 0].tolist() == [25, 28]
    assert body.score[9] == 63 / 1000
    assert len(body.missing) == 54
    assert {"left_hand_root", "face-0", "face-67"} <= set(body.missing)
    assert "face-54" not in body.missing
    absent = [whole.index(name) for name in body.missing]
    assert np.isnan(body.xy[absent]).all()
    assert (body.score[absent] == 0).all()
    assert np.isfinite(np.delete(body.xy, absent, 0)).all()
    coco = convert_points(body.xy, body.score, "wholebody133", "coco17")
    assert coco.missing == ()
    np.testing.assert_array_equal(coco.xy, body.xy[:17])


def test_the_neck_of_openpose_is_the_middle_of_the_shoulders() -> None:
    xy, score = numbered("coco17")
    result = convert_points(xy, score, "coco17", "openpose25")
    # shoulders are 5 and 6, hips 11 and 12
    assert result.xy[[1, 8]].tolist() == [[5.5, 11], [11.5, 23]]
    assert result.score[[1, 8]].tolist() == [6 / 1000, 12 / 1000]
    assert result.xy[2].tolist() == [6, 12]
    assert result.missing == tuple(
        f"{side}_{p}" for side in ("left", "right") for p in ("big_toe", "small_toe", "heel")
    )
    score[6] = 0  # no right shoulder, no neck
    result = convert_points(xy, score, "coco17", "openpose25")
    assert result.score[[1, 2, 5]].tolist() == [0, 0, 6 / 1000]
    assert np.isnan(result.xy[1]).all()
    assert result.xy[2].tolist() == [6, 12]  # as it was given


def test_a_middle_that_the_source_defines_too_is_copied() -> None:
    xy, score = numbered("openpose18")
    result = convert_points(xy, score, "openpose18", "openpose25")
    assert result.xy[1].tolist() == [1, 2]
    assert result.xy[8].tolist() == [9.5, 19]  # hips are 8 and 11
    halpe = convert_points(*numbered("openpose25"), "openpose25", "halpe26")
    assert halpe.missing == ("head",)
    assert halpe.xy[[18, 19]].tolist() == [[1, 2], [8, 16]]
    assert convert_points(*numbered("halpe26"), "halpe26", "openpose18").xy[1, 0] == 5.5


def test_mediapipe() -> None:
    result = convert_points(*numbered("mediapipe33"), "mediapipe33", "coco17")
    assert result.missing == ()
    assert result.xy[:, 0].tolist() == [0, 2, 5, 7, 8, *range(11, 17), *range(23, 29)]
    back = missing_points("wholebody133", "mediapipe33")
    assert back == tuple(
        f"{side}_{p}"
        for p in ("pinky", "index", "thumb", "foot_index")
        for side in ("left", "right")
    )


def test_98_and_106_landmarks_become_68() -> None:
    result = convert_points(*numbered("face98"), "face98", "face68")
    assert result.missing == ()
    assert result.xy[:17, 0].tolist() == list(range(0, 33, 2))
    assert result.xy[36:48, 0].tolist() == [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75]
    assert result.xy[48:, 0].tolist() == list(range(76, 96))
    result = convert_points(*numbered("face106"), "face106", "face68")
    assert result.xy[27:36, 0].tolist() == [51, 52, 53, 54, 58, 59, 60, 61, 62]
    assert result.xy[36:48, 0].tolist() == [66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82]
    assert result.xy[48:, 0].tolist() == list(range(84, 104))


@pytest.mark.parametrize("name", SETS)
def test_to_itself_nothing_changes(name: str) -> None:
    xy, score = numbered(name)
    result = convert_points(xy, score, name, name)
    np.testing.assert_array_equal(result.xy, xy)
    np.testing.assert_array_equal(result.score, score)
    assert result.missing == ()


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(SETS, 2)))
def test_flipping_commutes_with_conversion(source: str, target: str) -> None:
    """Left stays left: a flip before is a flip after."""
    xy, score = numbered(source)
    before, after = (Skeleton.load(n).flip_indices for n in (source, target))
    assert before is not None
    assert after is not None
    first = convert_points(xy[before], score[before], source, target)
    last = convert_points(xy, score, source, target)
    np.testing.assert_allclose(first.xy, last.xy[after])
    np.testing.assert_allclose(first.score, last.score[after])


def test_many_people_at_once_and_wrong_shapes() -> None:
    xy, score = numbered("coco17")
    result = convert_points(
        np.tile(xy, (2, 3, 1, 1)), np.tile(score, (2, 3, 1)), "coco17", "openpose18"
    )
    assert result.xy.shape == (2, 3, 18, 2)
    assert result.score.shape == (2, 3, 18)
    assert convert_points(np.zeros((0, 17, 2)), np.zeros((0, 17)), "coco17", "coco17").xy.size == 0
    with pytest.raises(ValueError, match=r"'coco17' has 17 keypoints.*\(18, 2\) and \(17,\)"):
        convert_points(np.zeros((18, 2)), score, "coco17", "openpose18")
    with pytest.raises(ValueError, match=r"\(17, 2\) and \(1, 17\)"):
        convert_points(xy, score[None], "coco17", "openpose18")


def test_the_documented_snippet_runs() -> None:
    (block,) = code_blocks(ROOT / "docs/skeletons.md", "python")
    names: dict[str, np.ndarray] = {}
    exec(block, names)  # the documentation is ours
    body: object = names["body"]
    assert getattr(body, "missing") == ()  # noqa: B009
    assert getattr(body, "xy").shape == (2, 18, 2)  # noqa: B009
