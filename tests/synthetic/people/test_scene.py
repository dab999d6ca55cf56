"""The annotations of a scene agree with its image, with each other and under warps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sapiens_lab import geometry
from sapiens_lab.data.fields import DepthMap, Image, Keypoints, LabelMap, NormalMap
from sapiens_lab.synthetic import PART_FLIP, PARTS, Scene, render_scene
from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.rendering.orbit import USUAL

SIZE = (128, 96)
SEEDS = range(16)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, image_size=SIZE, supersample=1) for seed in SEEDS]


def test_shapes_types_and_empty_values(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.rgb.shape == (*SIZE, 3)
        assert scene.rgb.dtype == scene.parts.dtype == np.uint8
        assert scene.depth.dtype == scene.normal.dtype == np.float32
        np.testing.assert_array_equal(scene.depth > 0, scene.mask)
        np.testing.assert_allclose(np.linalg.norm(scene.normal[scene.mask], axis=1), 1, atol=1e-5)
        assert not scene.normal[~scene.mask].any()
        assert 0.05 < scene.mask.mean() < 0.9
        assert scene.parts.max() < len(PARTS)


def test_same_seed_same_scene_and_another_seed_another() -> None:
    a, b = (render_scene((3, 0, 7), image_size=SIZE) for _ in range(2))
    for name in ("rgb", "depth", "normal", "parts", "keypoints", "visible"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    other = render_scene((3, 0, 8), image_size=SIZE)
    assert not np.array_equal(a.parts, other.parts)


def test_the_image_size_changes_only_the_view() -> None:
    small, large = (render_scene(5, image_size=(h, h * 3 // 4)) for h in (96, 192))
    assert (small.pose, small.height, small.framing) == (large.pose, large.height, large.framing)
    np.testing.assert_allclose(2 * small.keypoints + 0.5, large.keypoints, atol=0.05)


def test_cameras_look_down_and_roll_as_asked() -> None:
    orbit = replace(USUAL, elevation_deg=(50, 60), roll_deg=(80, 100))
    for seed in range(4):
        usual = render_scene(seed, image_size=SIZE, supersample=1)
        above = render_scene(seed, image_size=SIZE, supersample=1, orbit=orbit)
        right, _, forward = above.camera.R
        assert 50 <= np.degrees(np.arcsin(-forward[1])) <= 60  # the world's y points up
        # Rolled by about 90 degrees, the image's x axis lies in the plane of the world's y.
        upright = np.cross(forward, np.cross([0, 1, 0], forward))
        assert abs(right @ upright) / np.linalg.norm(upright) > np.cos(np.radians(10)) - 1e-6
        assert (above.pose, above.height, above.framing) == (
            usual.pose,
            usual.height,
            usual.framing,
        )


def test_normals_agree_with_the_gradient_of_depth(scenes: list[Scene]) -> None:
    angles = np.concatenate([_angles(scene) for scene in scenes])
    assert np.median(angles) < 9  # [degrees] flat facets against smooth normals, small images
    assert np.mean(angles > 90) < 0.01


def _angles(scene: Scene) -> np.ndarray:
    height, width = SIZE
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    points = scene.camera.rays(grid) * scene.depth[..., None]
    right = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, right)  # toward the viewer: z negative
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    m = scene.mask
    whole = m[1:-1, 1:-1] & m[1:-1, 2:] & m[1:-1, :-2] & m[2:, 1:-1] & m[:-2, 1:-1]
    step = np.maximum(np.abs(right[..., 2]), np.abs(down[..., 2]))
    whole &= step < 0.02  # [m] not across an edge of depth
    cosine = (normal * scene.normal[1:-1, 1:-1]).sum(-1)[whole]
    assert len(cosine) > 100
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_keypoints_lie_on_the_body(scenes: list[Scene]) -> None:
    on, total = 0, 0
    for scene in scenes:
        for x, y in np.rint(scene.keypoints[scene.visible == 2]).astype(int):
            window = scene.mask[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            on, total = on + window.any(), total + 1
    assert total > 500
    assert on / total > 0.995


def test_points_outside_the_image_are_unlabeled_and_hidden_ones_exist(
    scenes: list[Scene],
) -> None:
    for scene in scenes:
        x, y = scene.keypoints.T
        inside = (x >= -0.5) & (x <= SIZE[1] - 0.5) & (y >= -0.5) & (y <= SIZE[0] - 0.5)
        np.testing.assert_array_equal(scene.visible > 0, inside)
    counts = np.bincount(np.concatenate([scene.visible for scene in scenes]), minlength=3)
    assert counts.min() > 0


def test_left_and_right_keypoints_lie_on_left_and_right_parts(scenes: list[Scene]) -> None:
    right_ones, total = 0, 0
    for scene in scenes:
        for name, (x, y), seen in zip(
            scene.keypoint_names, scene.keypoints, scene.visible, strict=True
        ):
            limb = any(key in name for key in ("finger", "thumb", "wrist", "elbow", "knee", "toe"))
            if seen != 2 or not limb:
                continue
            part = PARTS[scene.parts[round(float(y)), round(float(x))]].lower()
            if part.startswith(("left", "right")):
                right_ones += part.split("_")[0] == name.split("_")[0]
                total += 1
    assert total > 150
    assert right_ones / total > 0.98


@pytest.mark.parametrize("seed", [0, 2, 11])
def test_a_flipped_camera_sees_the_flipped_image_with_sides_exchanged(seed: int) -> None:
    scene = render_scene(seed, image_size=SIZE, sensor_noise=False)
    matrix = geometry.flip((SIZE[1] - 1) / 2)
    seen = render_scene(
        seed, image_size=SIZE, camera=scene.camera.warp(matrix, SIZE), sensor_noise=False
    )
    labels = LabelMap(ids=scene.parts, flip_indices=PART_FLIP).warp(matrix, SIZE)
    assert np.mean(labels.ids == seen.parts) > 0.999
    points = _keypoints(scene).warp(matrix, SIZE)
    np.testing.assert_allclose(points.xy, seen.keypoints, atol=1e-2)
    assert np.mean(points.visible == seen.visible) > 0.97
    normal = NormalMap(normal=scene.normal, valid=scene.mask).warp(matrix, SIZE).normal
    assert np.mean(np.abs(normal - seen.normal) < 1e-2) > 0.998
    image = Image(pixels=scene.rgb).warp(matrix, SIZE).pixels.astype(int)
    assert np.mean(np.abs(image - seen.rgb) <= 3) > 0.99


def test_a_rotated_and_enlarged_camera_sees_the_warped_annotations() -> None:
    scene = render_scene(4, image_size=(256, 192), sensor_noise=False)
    center = np.array([95.5, 127.5])
    matrix = geometry.compose(geometry.rotate(25, center), geometry.scale(1.3, center))
    seen = render_scene(
        4, image_size=(256, 192), camera=scene.camera.warp(matrix, (256, 192)), sensor_noise=False
    )
    size = (256, 192)
    labels = LabelMap(ids=scene.parts, flip_indices=None).warp(matrix, size)
    known = labels.ids != 255
    assert np.mean(labels.ids[known] == seen.parts[known]) > 0.985
    np.testing.assert_allclose(_keypoints(scene).warp(matrix, size).xy, seen.keypoints, atol=2e-2)
    normal = NormalMap(normal=scene.normal, valid=scene.mask).warp(matrix, size)
    both = normal.valid & seen.mask
    cosine = (normal.normal[both] * seen.normal[both]).sum(1)
    assert np.median(cosine) > np.cos(np.radians(2))
    depth = DepthMap(depth=scene.depth, valid=scene.mask).warp(matrix, size)
    assert np.median(np.abs(depth.depth[both] - seen.depth[both])) < 0.005
    image = Image(pixels=scene.rgb).warp(matrix, size).pixels.astype(int)
    inside = known & (np.abs(image - seen.rgb).max(-1) <= 24)
    assert inside.sum() / known.sum() > 0.9


def test_all_28_classes_are_seen() -> None:
    seen = set()
    for seed in range(40):
        for framing in ("full", "head") if seed % 2 else ("head",):
            scene = render_scene(
                seed, image_size=(96, 72), framing=framing, supersample=1, shadows=False
            )
            seen |= set(np.unique(scene.parts).tolist())
        if len(seen) == len(PARTS):
            return
    assert not {PARTS[i] for i in set(range(len(PARTS))) - seen}


def test_the_head_is_shown_in_head_framing() -> None:
    shown = [
        render_scene(seed, image_size=SIZE, framing="head", supersample=1) for seed in range(6)
    ]
    for scene in shown:
        nose = scene.keypoints[scene.keypoint_names.index("nose")]
        assert (nose > 0).all()
        assert (nose < (SIZE[1], SIZE[0])).all()


def _keypoints(scene: Scene) -> Keypoints:
    return Keypoints(
        xy=scene.keypoints, visible=scene.visible, flip_indices=load_landmarks().flip_indices
    )
