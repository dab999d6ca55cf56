from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sapiens_lab import geometry
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data import photometric
from sapiens_lab.data import transforms as T
from sapiens_lab.data.fields import DepthMap, Image, Keypoints, LabelMap, NormalMap
from sapiens_lab.data.sample import Meta, Sample, collate

SIZE = (64, 48)


def make_sample(seed: int = 0) -> Sample:
    """A sample with all five annotations; bright dots mark the keypoints."""
    rng = np.random.default_rng(seed)
    height, width = 200, 160
    xy = np.stack([rng.uniform(50, 110, 17), rng.uniform(50, 150, 17)], 1).astype(np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    normal[..., 2] = -1
    everywhere = np.ones((height, width), np.bool_)
    box = np.array([40, 40, 120, 160], np.float32)
    return Sample(
        image=Image(pixels=rng.integers(0, 255, (height, width, 3)).astype(np.uint8)),
        bbox=box,
        meta=Meta(id=seed, image_id=seed, path="made", size=(height, width), bbox=box),
        fields={
            "keypoints": Keypoints(
                xy=xy,
                visible=np.full(17, 2, np.uint8),
                flip_indices=Skeleton.load("coco17").flip_indices,
            ),
            "labels": LabelMap(ids=np.zeros((height, width), np.uint8), flip_indices=np.arange(3)),
            "depth": DepthMap(depth=np.ones((height, width), np.float32), valid=everywhere),
            "normal": NormalMap(normal=normal, valid=everywhere),
        },
    )


def chain(sample: Sample, *steps: T.Transform, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    for step in steps:
        result = step(sample, rng)
        assert result is not None
        sample = result
    return sample


def test_every_annotation_moves_by_the_one_matrix() -> None:
    sample = make_sample()
    assert sample.keypoints is not None
    steps = (
        T.ExpandBox(1.25),
        T.RandomShiftScaleRotate(),
        T.CropToBox(SIZE),
        T.RandomFlip(p=1.0),
        T.Warp(SIZE),
    )
    for seed in range(5):
        out = chain(sample, *steps, seed=seed)
        assert out.keypoints is not None
        assert out.image.size == SIZE
        back = out.meta.to_source(out.keypoints.xy)
        swapped = sample.keypoints.xy[sample.keypoints.flip_indices]
        np.testing.assert_allclose(back, swapped, atol=1e-2)
        batch = collate([out])
        for name in ("labels", "depth", "normal", "normal_valid"):
            assert tuple(batch[name].shape[-2:]) == SIZE


def test_flip_before_and_after_the_crop_is_the_same() -> None:
    sample = make_sample()
    before = chain(sample, T.RandomFlip(p=1.0), T.CropToBox(SIZE))
    after = chain(sample, T.CropToBox(SIZE), T.RandomFlip(p=1.0))
    np.testing.assert_allclose(before.meta.matrix, after.meta.matrix, atol=1e-9)


def test_flip_leaves_a_skeleton_without_pairs_alone() -> None:
    sample = make_sample()
    assert sample.keypoints is not None
    sample.fields["keypoints"] = dataclasses.replace(sample.keypoints, flip_indices=None)
    out = chain(sample, T.RandomFlip(p=1.0))
    assert not geometry.is_flip(out.meta.matrix)


def test_shift_scale_rotate_stays_in_its_bounds() -> None:
    sample = make_sample()
    step = T.RandomShiftScaleRotate(p_shift=1, p_rotate=1)
    center, extent = geometry.bbox_center(sample.bbox), sample.bbox[2:] - sample.bbox[:2]
    for seed in range(200):
        out = chain(sample, step, seed=seed)
        moved = np.abs(geometry.bbox_center(out.bbox) - center)
        assert (moved <= 0.16 * extent + 1e-3).all()
        factor = (out.bbox[2:] - out.bbox[:2]) / extent
        assert 0.5 - 1e-3 <= factor[0] <= 1.5 + 1e-3
        assert factor[0] == pytest.approx(factor[1], rel=1e-4)
        cosine = out.meta.matrix[0, 0]
        assert np.rad2deg(np.arccos(cosine)) <= 80 + 1e-6


def test_half_body_takes_the_box_of_one_half() -> None:
    sample = make_sample()
    assert sample.keypoints is not None
    skeleton = Skeleton.load("coco17")
    upper = chain(sample, T.RandomHalfBody(skeleton=skeleton, p=1.0, p_upper=1.0))
    points = sample.keypoints.xy[list(skeleton.upper_body)]
    np.testing.assert_allclose(geometry.bbox_center(upper.bbox), points.mean(0), rtol=1e-4)
    np.testing.assert_allclose(
        upper.bbox[2:] - upper.bbox[:2], np.ptp(points, axis=0) * 1.5, rtol=1e-4
    )
    hidden = dataclasses.replace(sample.keypoints, visible=np.zeros(17, np.uint8))
    few = chain(
        dataclasses.replace(sample, fields={"keypoints": hidden}),
        T.RandomHalfBody(skeleton=skeleton, p=1.0),
    )
    np.testing.assert_array_equal(few.bbox, sample.bbox)


def test_too_few_keypoints_in_the_crop_reject_the_draw() -> None:
    sample = make_sample()
    sample.bbox = np.array([0, 0, 20, 20], np.float32)  # a corner without any point
    out = chain(sample, T.CropToBox(SIZE), T.Warp(SIZE))
    assert T.RequireKeypoints(1)(out, np.random.default_rng(0)) is None
    assert T.RequireKeypoints(0)(out, np.random.default_rng(0)) is out


def test_photometric_steps_touch_the_pixels_only() -> None:
    sample = make_sample()
    steps = (
        photometric.PhotometricDistortion(p=1.0, p_channel_shuffle=1.0),
        photometric.RandomBlur(p_mean=1.0, p_median=1.0),
        photometric.CoarseDropout(),
    )
    out = chain(sample, *steps)
    assert out.image.pixels.shape == sample.image.pixels.shape
    assert (out.image.pixels != sample.image.pixels).any()
    assert out.keypoints is sample.keypoints
    assert out.labels is sample.labels
    assert out.meta is sample.meta


def test_dropout_paints_a_hole_of_the_official_size() -> None:
    sample = make_sample()
    sample.image = Image(pixels=np.full((100, 100, 3), 255, np.uint8))
    for seed in range(20):
        hole = (chain(sample, photometric.CoarseDropout(), seed=seed).image.pixels == 0).all(-1)
        height, width = hole.any(1).sum(), hole.any(0).sum()
        assert 20 <= height <= 40
        assert 20 <= width <= 40
        assert hole.sum() == height * width


def test_brightness_alone_adds() -> None:
    pixels = np.full((4, 4, 3), 100, np.uint8)
    assert (photometric._tone(pixels, 20.0, 1.0) == 120).all()
    assert (photometric._tone(pixels, 20.0, 2.5) == 255).all()
    assert (photometric._tone(pixels, -120.0, 1.0) == 0).all()


def test_hue_wraps_around() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    turned = photometric._recolor(photometric._recolor(red, 1.0, -15), 1.0, 15)
    np.testing.assert_array_equal(turned, red)
