"""The One-Euro filter by hand, and what is smoothed in results."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.normal import NormalResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.smooth import MapSmoother, OneEuro, PointSmoother

IMAGE = np.zeros((8, 8, 3), np.uint8)


def test_one_euro_by_hand() -> None:
    one_euro = OneEuro(min_cutoff_hz=1.0, beta=0.5)
    assert one_euro(np.array([2.0]), 0.0) == [2.0]
    dt = 0.1
    weight = 1 / (1 + 1 / (2 * math.pi * 1.0) / dt)  # tau / Te of the paper, cutoff 1 Hz
    slope = weight * (4.0 - 2.0) / dt
    cutoff = 1.0 + 0.5 * slope
    own = 1 / (1 + 1 / (2 * math.pi * cutoff) / dt)
    first = own * 4.0 + (1 - own) * 2.0
    assert one_euro(np.array([4.0]), 0.1) == pytest.approx([first])
    slope = weight * (4.0 - first) / dt + (1 - weight) * slope
    own = 1 / (1 + 1 / (2 * math.pi * (1.0 + 0.5 * slope)) / dt)
    assert one_euro(np.array([4.0]), 0.2) == pytest.approx([own * 4.0 + (1 - own) * first])


def test_what_rests_trembles_less_and_what_moves_does_not_lag() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(200) / 30
    resting = np.stack([rng.normal(50, 1, 200), rng.normal(50, 1, 200)], -1)
    one_euro = OneEuro()
    still = np.array([one_euro(p, t, 200.0) for p, t in zip(resting, times, strict=True)])
    assert still[60:].std() < 0.5 * resting[60:].std()
    moving = np.stack([400 * times, 0 * times], -1)  # two sizes of the person per second
    one_euro = OneEuro()
    followed = np.array([one_euro(p, t, 200.0) for p, t in zip(moving, times, strict=True)])
    assert np.abs(followed - moving)[60:].max() < 0.02 * 200


def pose(*centers: float) -> PoseResult:
    skeleton = Skeleton.load("coco17")
    count = skeleton.num_keypoints
    boxes = Boxes.of([[x - 50, 0, x + 50, 100] for x in centers])
    keypoints = np.array([np.full((count, 2), x) for x in centers], np.float32)
    return PoseResult(image=IMAGE, path="", keypoints=keypoints, boxes=boxes, skeleton=skeleton,
                      scores=np.ones((len(centers), count), np.float32))  # fmt: skip


def test_people_are_smoothed_by_their_number() -> None:
    points = PointSmoother()
    points.pose(pose(100, 500), [1, 2], 0.0)
    swapped = points.pose(pose(500, 100), [2, 1], 0.1)
    np.testing.assert_array_equal(swapped.keypoints[:, 0, 0], [500, 100])
    moved = points.pose(pose(510, 100), [2, 1], 0.2).keypoints[:, 0, 0]
    assert 500 < moved[0] < 510
    assert moved[1] == 100
    again = points.pose(pose(900), [2], 9.0)  # after a long time nothing is remembered
    assert again.keypoints[0, 0, 0] == 900
    still = points.boxes(pose(900).boxes, [7], 9.0)
    np.testing.assert_array_equal(still.xyxy, pose(900).boxes.xyxy)


def test_maps_are_averaged_and_normals_stay_of_unit_length() -> None:
    maps = MapSmoother(time_constant_s=0.5)
    depth = np.full((8, 8), 1.0, np.float32)
    x, z = np.zeros((2, 8, 8, 3), np.float32)
    x[..., 0], z[..., 2] = 1, -1
    first = [DepthResult(image=IMAGE, path="", depth=depth, kind="metric"),
             NormalResult(image=IMAGE, path="", normal=x)]  # fmt: skip
    assert maps(first, 0.0)[0].depth is depth  # type: ignore[attr-defined]
    later = depth * 3
    later[0, 0] = np.nan
    found = maps([DepthResult(image=IMAGE, path="", depth=later, kind="metric"),
                  NormalResult(image=IMAGE, path="", normal=z)], 0.5)  # fmt: skip
    assert isinstance(found[0], DepthResult)
    assert found[0].depth[4, 4] == pytest.approx(math.exp(-1) + 3 * (1 - math.exp(-1)))
    assert np.isnan(found[0].depth[0, 0])
    assert isinstance(found[1], NormalResult)
    np.testing.assert_allclose(np.linalg.norm(found[1].normal, axis=-1), 1, rtol=1e-5)
    assert found[1].normal[0, 0, 2] < -0.8
