"""Crops and their keypoints against those of the official code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from sapiens_lab import geometry
from sapiens_lab.data import transforms as T
from sapiens_lab.data.fields import Image, Keypoints
from sapiens_lab.data.sample import Meta, Sample
from tests.parity import generated


@pytest.fixture(scope="module")
def people(source: str, metrics_folder: Path, request: pytest.FixtureRequest) -> list[Any]:
    """Return image, keypoints and visibility of each crop: generated, or people of COCO."""
    samples = json.loads((metrics_folder / "topdown_crops.json").read_text())["samples"]
    if source == "recorded":
        recorded = load_file(metrics_folder / "topdown_crops.safetensors")
        image = generated.image_uint8("crops", 120, 160)
        points = [recorded[f"points_{item['index']}"][0] for item in samples]
        return [(image, xy, np.full(len(xy), 2, np.uint8)) for xy in points]
    folder = request.getfixturevalue("shared") / "data/coco_tiny"
    truth = json.loads((folder / "test_coco.json").read_text())["annotations"]
    keypoints = {a["id"]: np.array(a["keypoints"], np.float32).reshape(-1, 3) for a in truth}
    result = []
    for item in samples:
        image = cv2.imread(str(folder / item["file"]))
        points = keypoints[item["annotation_id"]]
        result.append((image, points[:, :2], points[:, 2].astype(np.uint8)))
    return result


def test_crops_equal_the_official_ones(metrics_folder: Path, people: list[Any]) -> None:
    recorded = load_file(metrics_folder / "topdown_crops.safetensors")
    index = json.loads((metrics_folder / "topdown_crops.json").read_text())
    size = tuple(index["input_size_hw"])
    for item, (pixels, xy, visible) in zip(index["samples"], people, strict=True):
        box = geometry.bbox_around(np.array(item["center"]), np.array(item["scale_before"]))
        sample = Sample(
            image=Image(pixels=pixels),
            bbox=box,
            meta=Meta(id=0, image_id=0, path="", size=pixels.shape[:2], bbox=box),
            fields={"keypoints": Keypoints(xy=xy, visible=visible, flip_indices=None)},
        )
        out = sample.move(geometry.rotate(item["rotation"], geometry.bbox_center(box)))
        rng = np.random.default_rng(0)
        for transform in (T.CropToBox(size), T.Warp(size)):
            moved = transform(out, rng)
            assert moved is not None
            out = moved
        assert out.keypoints is not None
        crop = recorded[f"crop_{item['index']}"].astype(int)
        assert np.abs(out.image.pixels.astype(int) - crop).max() <= 1
        labeled = out.keypoints.visible > 0
        official = recorded[f"keypoints_{item['index']}"][0]
        assert np.abs(out.keypoints.xy - official)[labeled].max() < 1e-3
