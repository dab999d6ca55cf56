"""Boxes, and which of a detector's are kept."""

from __future__ import annotations

import numpy as np
import pytest

from sapiens_lab.inference.boxes import Boxes, Selection, suppress
from sapiens_lab.inference.detect.detector import OwnFunction


def test_boxes_of_arrays() -> None:
    assert len(Boxes.of([])) == 0
    one = Boxes.of([1, 2, 3, 4])
    assert one.xyxy.tolist() == [[1, 2, 3, 4]]
    assert one.scores.tolist() == [1]
    assert Boxes.of([[1, 2, 3, 4, 0.5]]).scores.tolist() == [0.5]
    for wrong, message in (
        ([[1, 2, 3]], "rows of x1, y1, x2, y2"),
        ([[1, 2, np.nan, 4]], "not finite"),
        ([[10, 10, 5, 20], [0, 0, 1, 1]], r"1 of 2 boxes have no area, e.g. \[10.0, 10.0, 5.0"),
    ):
        with pytest.raises(ValueError, match=message):
            Boxes.of(wrong, "photo.jpg")


def test_suppression_keeps_the_best_of_each_person() -> None:
    # Areas 100 each; the second overlaps the first by 80 of 120 pixels: 2/3.
    boxes = Boxes.of([[0, 0, 10, 10], [2, 0, 12, 10], [20, 0, 30, 10]])
    assert suppress(boxes, 0.6) == [0, 2]
    assert suppress(boxes, 0.7) == [0, 1, 2]


def test_selection() -> None:
    boxes = Boxes.of(
        [[-5, 0, 10, 10, 0.4], [0, 0, 10, 11, 0.9], [20, 0, 30, 40, 0.8], [1, 1, 3, 3, 0.7],
         [0, 50, 20, 60, 0.1], [200, 0, 300, 20, 0.9]]
    )  # fmt: skip
    select = Selection(min_score=0.3, nms=0.5, min_size=4)
    kept = select(boxes, (60, 100))
    assert kept.xyxy.tolist() == [[0, 0, 10, 11], [20, 0, 30, 40]]  # the others: see above
    assert kept.scores.tolist() == pytest.approx([0.9, 0.8])
    assert len(Selection(min_score=0, nms=1, top_k=1)(boxes, (60, 100))) == 1


def test_a_function_is_a_detector() -> None:
    detect = OwnFunction(function=lambda image: [[0, 0, image.shape[1], 5, 0.9], [0, 0, 1, 1, 0.1]])
    found = detect(np.zeros((10, 20, 3), np.uint8), "a.jpg")
    assert found.xyxy.tolist() == [[0, 0, 19, 5]]
    with pytest.raises(ValueError, match=r"a\.jpg: boxes are rows"):
        OwnFunction(function=lambda image: "nothing")(np.zeros((2, 2, 3), np.uint8), "a.jpg")
