"""The dataset of rendered people: samples, ground truth, splits and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople

SIZE = (64, 48)


def people(folder: Path | None = None, **changes: Any) -> SyntheticPeople:
    arguments = {"num_scenes": 4, "image_size": SIZE, "supersample": 1, "cache": folder is not None}
    return SyntheticPeople(**{**arguments, "cache_dir": folder, **changes})


def test_a_sample_carries_the_fields_asked_for(tmp_path: Path) -> None:
    fields = ("keypoints", "labels", "depth", "normal")
    sample = people(tmp_path, fields=fields, skeleton="wholebody133")[2]
    assert sample.image.pixels.shape == (*SIZE, 3)
    assert sample.keypoints is not None
    assert sample.keypoints.xy.shape == (133, 2)
    assert sample.labels is not None
    assert sample.depth is not None
    assert sample.normal is not None
    np.testing.assert_array_equal(sample.labels.ids > 0, sample.depth.valid)
    assert sample.meta.id == 2
    assert sample.meta.size == SIZE
    x1, y1, x2, y2 = sample.bbox
    y, x = np.nonzero(sample.depth.valid)
    assert (x1, y1, x2, y2) == (x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5)
    assert people()[0].labels is None


def test_rendering_on_the_fly_and_the_cache_give_the_same_points(tmp_path: Path) -> None:
    cached, fresh = people(tmp_path)[1].keypoints, people()[1].keypoints
    assert cached is not None
    assert fresh is not None
    np.testing.assert_allclose(cached.xy, fresh.xy, atol=1e-3)
    np.testing.assert_array_equal(cached.visible, fresh.visible)


def test_splits_and_seeds_share_no_scene_and_a_larger_set_begins_with_the_smaller() -> None:
    def image(**changes: Any) -> bytes:
        return people(**changes)[0].image.pixels.tobytes()

    first = image()
    assert len({first, image(split="val"), image(split="test"), image(seed=1)}) == 4
    assert image(num_scenes=9) == first


def test_ground_truth_is_coco(tmp_path: Path) -> None:
    dataset = people(tmp_path)
    dataset.prepare(1)
    truth = dataset.ground_truth()
    assert [image["id"] for image in truth["images"]] == [0, 1, 2, 3]
    assert truth["categories"][0]["keypoints"] == list(dataset.skeleton.keypoints)
    for annotation in truth["annotations"]:
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        assert annotation["num_keypoints"] == (points[:, 2] > 0).sum()
        assert not points[points[:, 2] == 0].any()
        scene = dataset.scene(annotation["id"])
        assert annotation["area"] == scene.mask.sum()
        assert 0 < annotation["area"] <= annotation["bbox"][2] * annotation["bbox"][3]


def test_unknown_points_of_the_308_are_unlabeled() -> None:
    dataset = people(skeleton="goliath308")
    keypoints = dataset[0].keypoints
    assert keypoints is not None
    ear = dataset.skeleton.index("l_tip_of_ear_lobe")
    assert keypoints.visible[ear] == 0
    assert (keypoints.visible > 0).sum() > 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_scenes": 0}, "at least 1"),
        ({"fields": ("depht",)}, "choose from"),
        ({"split": "dev"}, "choose from"),
        ({"num_scenes": 10**6, "max_cache_gb": 1.0, "cache": True}, "max_cache_gb=1"),
    ],
)
def test_errors_say_what_to_do(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        people(**changes)


def test_an_index_outside_the_set_is_an_error() -> None:
    with pytest.raises(IndexError):
        people()[4]
