"""Body, poses, landmarks, classes: the parts of a scene that need no image."""

from __future__ import annotations

import numpy as np
import pytest

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.synthetic.people.body import MESHES, NUM_VERTICES, load_body
from sapiens_lab.synthetic.people.collisions import TOLERANCE, penetration, resolve
from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.people.materials import PART_FLIP, PART_OF, PARTS, Material
from sapiens_lab.synthetic.people.poses import rotations, sample_pose
from sapiens_lab.synthetic.people.regions import load_regions


def test_the_rest_pose_is_the_shape_itself() -> None:
    body = load_body()
    still = np.broadcast_to(np.eye(3, dtype=np.float32), (len(body.bones), 3, 3))
    posed = body.pose(body.mean, body.joints(body.mean, still))
    np.testing.assert_allclose(posed.vertices, body.canonical, atol=1e-5)
    np.testing.assert_allclose(posed.heads, body.mean[NUM_VERTICES : -len(body.bones)], atol=1e-5)


def test_bones_keep_their_length_in_any_pose() -> None:
    body = load_body()
    pose = sample_pose(np.random.default_rng(0))
    posed = body.pose(body.mean, body.joints(body.mean, rotations(body, pose)))
    for start, end in (("upperarm01.L", "lowerarm01.L"), ("upperleg01.R", "lowerleg01.R")):
        length = np.linalg.norm(body.head(end) - body.head(start))
        moved = posed.heads[body.bones[end]] - posed.heads[body.bones[start]]
        assert np.linalg.norm(moved) == pytest.approx(length, abs=1e-4)


def test_left_is_plus_x_and_the_face_looks_along_plus_z() -> None:
    body = load_body()
    assert body.canonical[MESHES["left_eye"], 0].mean() > 0.02
    assert body.canonical[MESHES["left_eye"], 2].mean() > 0.1
    assert body.head("wrist.L")[0] > 0.3


def test_colliding_arms_are_taken_out_of_the_body() -> None:
    body, rng = load_body(), np.random.default_rng(1)
    before, after = [], []
    for _ in range(30):
        shape = body.shape(body.coefficients[rng.integers(len(body.coefficients))])
        pose = sample_pose(rng)
        before.append(penetration(body, shape, pose))
        after.append(penetration(body, shape, resolve(rng, body, shape, pose)))
    assert (np.array(before) > TOLERANCE).mean() > 0.1
    assert (np.array(after) > TOLERANCE).mean() < 0.02


@pytest.mark.parametrize(("name", "known"), [("coco17", 17), ("wholebody133", 133)])
def test_every_point_of_the_skeleton_is_known(name: str, known: int) -> None:
    names = set(load_landmarks().names)
    assert sum(point in names for point in Skeleton.load(name).keypoints) == known


@pytest.mark.parametrize("name", ["coco17", "wholebody133", "goliath308"])
def test_landmarks_flip_as_the_skeleton_says(name: str) -> None:
    skeleton, landmarks = Skeleton.load(name), load_landmarks()
    assert skeleton.flip_indices is not None
    index = {point: i for i, point in enumerate(landmarks.names)}
    for i, point in enumerate(skeleton.keypoints):
        if point in index:
            other = landmarks.names[landmarks.flip_indices[index[point]]]
            assert other == skeleton.keypoints[skeleton.flip_indices[i]]


def test_half_of_the_308_points_are_real() -> None:
    names = set(load_landmarks().names)
    assert sum(point in names for point in Skeleton.load("goliath308").keypoints) >= 150


def test_classes_and_their_flip() -> None:
    assert len(PARTS) == len(set(PARTS)) == 28
    np.testing.assert_array_equal(PART_FLIP[PART_FLIP], np.arange(28))
    assert PARTS[PART_FLIP[PARTS.index("Left_Sock")]] == "Right_Sock"
    assert PARTS[PART_OF[1, Material.HAND]] == "Left_Hand"
    assert set(PART_OF.ravel()) == set(range(1, 28))


def test_fields_over_the_surface() -> None:
    regions = load_regions()
    np.testing.assert_allclose(regions.region_scores.sum(1), 1, atol=1e-5)
    assert (regions.upper_lip > 0).sum() > 30
    assert (regions.lower_lip > 0).sum() > 30
    assert (regions.hairline > 0).sum() > 250
    assert regions.hip_y < regions.neck_y < regions.eye[1]
