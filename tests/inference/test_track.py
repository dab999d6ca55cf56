"""``Tracker``: people keep their numbers; coasting follows their speed."""

from __future__ import annotations

import numpy as np

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.track import Tracker, match, overlaps


def boxes(*lefts: float) -> Boxes:
    """Return boxes of 20 x 40 pixels."""
    return Boxes.of([[x, 0, x + 20, 40] for x in lefts] or np.zeros((0, 4)))


def test_overlaps_are_intersection_over_union() -> None:
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])
    np.testing.assert_allclose(overlaps(a, b), [[1, 50 / 150, 0]])


def test_the_surest_pair_is_matched_first() -> None:
    scores = np.array([[0.6, 0.9], [0.5, 0.8]])
    assert match(scores, 0.3) == [(0, 1), (1, 0)]
    assert match(scores, 0.55) == [(0, 1)]
    assert match(np.zeros((0, 3)), 0.3) == []


def test_people_who_cross_keep_their_numbers() -> None:
    tracker = Tracker()
    for step in range(21):  # they meet in the middle; the order of the boxes changes all the time
        right, left = 5.0 * step, 100 - 5.0 * step
        if step % 2:
            assert tracker.update(boxes(left, right), step / 10) == [2, 1]
        else:
            assert tracker.update(boxes(right, left), step / 10) == [1, 2]


def test_without_their_speed_they_would_change_numbers() -> None:
    tracker = Tracker()
    tracker.update(boxes(0), 0)
    tracker.update(boxes(10), 0.1)
    # Expected at 15 (half of the last speed): 20 is nearer, though 8 is nearer to the last place.
    assert tracker.update(boxes(8, 20), 0.2) == [2, 1]


def test_someone_who_is_away_for_a_while_keeps_the_number() -> None:
    tracker = Tracker(max_missed=3)
    assert tracker.update(boxes(50), 0) == [1]
    for step in range(1, 4):
        assert tracker.update(boxes(), step / 10) == []
    assert tracker.update(boxes(50), 0.4) == [1]
    for step in range(5, 9):
        tracker.update(boxes(), step / 10)
    assert tracker.update(boxes(50), 0.9) == [2]


def test_between_detections_boxes_move_on() -> None:
    tracker = Tracker()
    tracker.update(boxes(0, 200), 0)
    tracker.update(boxes(10, 200), 0.1)  # 100 pixels/s, of which the mean with 0 is 50
    expected, ids = tracker.expected(0.3)
    assert ids == [1, 2]
    np.testing.assert_allclose(expected.xyxy[:, 0], [10 + 50 * 0.2, 200])
    tracker.update(boxes(200), 0.4)
    assert tracker.expected(0.5)[1] == [2]  # who was not seen is not shown
