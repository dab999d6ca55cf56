"""Transforms of the whole image, random backgrounds, and ground truth at source size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from sapiens_lab import geometry
from sapiens_lab.commands.composing import config_folder
from sapiens_lab.data import crops, photometric
from sapiens_lab.data import transforms as T
from sapiens_lab.data.fields import Image, LabelMap
from sapiens_lab.data.sample import collate
from tests.data.test_transforms import SIZE, chain, make_sample


def test_stretch_shows_the_whole_image_as_cv2_resizes_it() -> None:
    sample = make_sample()
    expected = cv2.resize(sample.image.pixels, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    out = chain(sample, crops.Resize(SIZE), T.Warp(SIZE, replicate_edge=True))
    np.testing.assert_array_equal(out.image.pixels, expected)
    out = chain(sample, crops.Resize(SIZE), T.Warp(SIZE))
    inner = np.abs(out.image.pixels.astype(int) - expected)[1:-1, 1:-1]
    assert inner.max() <= 2  # warpAffine rounds positions to 1/32 pixel


@pytest.mark.parametrize("seed", range(6))
def test_a_scaled_crop_lies_within_the_image_and_keeps_the_aspect_of_pixels(seed: int) -> None:
    sample = make_sample()  # 200 x 160
    out = crops.RandomScaledCrop(image_size=SIZE, ratio=(1.5, 3.0))(
        sample, np.random.default_rng(seed)
    )
    matrix = out.meta.matrix
    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    fit = min(64 / 200, 48 / 160)
    assert 1.5 * fit <= matrix[0, 0] <= 3.0 * fit
    edges = np.array([[-0.5, -0.5], [SIZE[1] - 0.5, SIZE[0] - 0.5]])
    source = geometry.apply(geometry.invert(matrix), edges)
    assert (source >= -0.5 - 1e-6).all()
    assert (source <= np.array([159.5, 199.5]) + 1e-6).all()


def test_an_image_resized_below_the_input_is_stretched_whole() -> None:
    sample = make_sample()
    out = crops.RandomScaledCrop(image_size=SIZE, ratio=(0.2, 0.5))(
        sample, np.random.default_rng(0)
    )
    np.testing.assert_allclose(out.meta.matrix, geometry.resize((200, 160), SIZE), atol=1e-9)


def test_a_crop_full_of_one_class_is_drawn_again() -> None:
    ids = np.zeros((200, 160), np.uint8)
    ids[:, 80:] = 1  # windows on either side see one class only
    ids[:20] = 255  # ignored pixels do not count as a class
    sample = replace(make_sample(), fields={"labels": LabelMap(ids=ids, flip_indices=np.arange(2))})
    step = crops.RandomScaledCrop(image_size=SIZE, ratio=(2.0, 2.0), tries=100)
    for seed in range(10):
        warped = chain(sample, step, T.Warp(SIZE), seed=seed).labels
        assert warped is not None
        counts = np.bincount(warped.ids.ravel(), minlength=256)[:2]
        assert counts.max() < 0.8 * counts.sum()


def test_rotation_is_uniform_up_to_its_limit() -> None:
    sample = make_sample()
    step = T.RandomRotate(max_deg=30, p=1.0)
    angles = []
    for seed in range(200):
        m = step(sample, np.random.default_rng(seed)).meta.matrix
        angles.append(np.degrees(np.arctan2(m[1, 0], m[0, 0])))
    assert np.abs(angles).max() <= 30
    assert np.std(angles) == pytest.approx(60 / np.sqrt(12), rel=0.15)


def test_a_background_replaces_what_is_not_the_person(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), np.full((50, 90, 3), (0, 255, 0), np.uint8))
    sample = make_sample()
    assert sample.labels is not None
    sample.labels.ids[50:150, 40:120] = 3
    sample.fields["labels"] = replace(sample.labels, flip_indices=np.arange(4))
    step = photometric.RandomBackground(folder=str(tmp_path), p=1.0)
    out = step(sample, np.random.default_rng(0)).image.pixels
    assert (out[:45, :35] == (0, 255, 0)).all()
    np.testing.assert_array_equal(out[55:145, 45:115], sample.image.pixels[55:145, 45:115])


def test_a_folder_without_images_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"background=null"):
        photometric.RandomBackground(folder=str(tmp_path))


@pytest.mark.parametrize("name", ["dense", "pretrain"])
def test_enlarging_mixes_no_black_into_the_outer_rows(name: str) -> None:
    """A flat 200 became 130 in the corners; the official code resizes and repeats the edge."""
    steps = OmegaConf.load(config_folder() / f"data/transforms/{name}.yaml")
    white = replace(make_sample(), image=Image(pixels=np.full((200, 160, 3), 200, np.uint8)))
    size = (500, 400)
    for split, crop in (
        ("train", crops.RandomScaledCrop(image_size=size, ratio=(1.0, 1.0), max_fraction=1.0)),
        ("train", crops.RandomResizedCrop(image_size=size, area=(1.0, 1.0), aspect=(1.0, 1.0))),
        ("eval", crops.Resize(size)),
        ("eval", crops.CenterCrop(size)),
    ):
        warp = instantiate(steps[f"{split}_transforms"].warp, image_size=size)
        assert (chain(white, crop, warp).image.pixels == 200).all(), (split, crop)
    assert chain(white, crops.Resize(size), T.Warp(size)).image.pixels[0, 0, 0] < 140


def test_ground_truth_stays_at_source_size() -> None:
    sample = make_sample()
    batch = collate([chain(sample, crops.Resize(SIZE), T.Warp(SIZE, keep_source=True))])
    assert batch.gt is not None
    [gt] = batch.gt
    assert gt["labels"].shape == (200, 160)
    assert gt["normal"].shape == (3, 200, 160)
    assert gt["normal_valid"].shape == (1, 200, 160)
    assert collate([chain(sample, crops.Resize(SIZE), T.Warp(SIZE))]).gt is None
