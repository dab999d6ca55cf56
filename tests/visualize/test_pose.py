"""Images of keypoints: left and right where they should be, and a word where nothing is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.sample import Batch, Meta
from sapiens_lab.tasks.pose import PosePrediction
from sapiens_lab.visualize import pose as module
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.pose import PoseView, draw_pose

BLACK = np.zeros((120, 100, 3), np.uint8)


def pose(visible: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    skeleton = Skeleton.load("coco17")
    xy = np.full((17, 2), -50.0)
    places = {"left_wrist": (70, 60), "right_wrist": (30, 60), "nose": (50, 20)}
    seen = np.zeros(17, np.uint8)
    for name, value in visible.items():
        xy[skeleton.index(name)] = places[name]
        seen[skeleton.index(name)] = value
    return xy, seen


def test_left_is_green_and_right_is_orange() -> None:
    xy, seen = pose({"left_wrist": 2, "right_wrist": 2, "nose": 2})
    image = draw_pose(BLACK, xy, seen, skeleton=Skeleton.load("coco17"))
    assert image[60, 70].tolist() == [0, 255, 0]
    assert image[60, 30].tolist() == [255, 128, 0]
    assert image[20, 50].tolist() == [51, 153, 255]
    assert not BLACK.any()


def test_a_hidden_point_is_hollow_and_an_unlabeled_one_is_not_drawn() -> None:
    xy, seen = pose({"left_wrist": 1, "right_wrist": 0})
    large = np.zeros((600, 500, 3), np.uint8)
    image = draw_pose(large, xy * 5, seen, skeleton=Skeleton.load("coco17"))
    assert not image[300, 350].any()
    assert image[300, 340:361].any()
    assert not image[:, :250].any()


def test_a_prediction_without_a_sure_keypoint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []
    add_caption = module.add_caption

    def noted(image: RGBImage, text: str) -> RGBImage:
        captions.append(text)
        return add_caption(image, text)

    monkeypatch.setattr(module, "add_caption", noted)
    batch = Batch(
        image=torch.full((1, 3, 128, 96), 200, dtype=torch.uint8),
        meta=[Meta(id=0, image_id=0, path="", size=(128, 96), bbox=np.zeros(4, np.float32))],
    )
    view = PoseView("coco17", score_threshold=0.3)
    scores = np.full(17, 0.05, np.float32)
    scores[3] = 0.12
    xy = np.full((17, 2), 20, np.float32)
    image = view.prediction(batch, 0, PosePrediction(keypoints=xy, scores=scores))
    assert captions == ["all 17 keypoints below 0.3;\nhighest 0.12"]
    assert (image[:200] == 200).all()  # nothing is drawn but the caption at the bottom
    assert image[-30:].mean() < 100
    scores[3] = 0.31
    view.prediction(batch, 0, PosePrediction(keypoints=xy, scores=scores))
    assert len(captions) == 1
