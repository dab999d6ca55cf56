"""The pose task on people whose keypoints are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sapiens_lab.data import transforms as T
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.sample import collate
from sapiens_lab.metrics.pose import OksAP
from sapiens_lab.tasks.pose import PosePrediction, PoseTask

SIZE = (96, 72)


@pytest.fixture(scope="module")
def people() -> SyntheticPeople:
    return SyntheticPeople(num_scenes=4, image_size=SIZE, cache=False, supersample=1)


def task(skeleton: str = "coco17") -> PoseTask:
    return PoseTask(
        skeleton=skeleton, loss=torch.nn.Identity(), metrics={"ap": OksAP(skeleton)}, sigma=2.0
    )


def test_people_that_could_not_be_read_are_no_misses(people: SyntheticPeople) -> None:
    measured = {}
    for left_out in ((), (3,)):
        pose = task()
        pose.setup(train=None, val=people)
        rng = np.random.default_rng(0)
        samples = [T.Warp(SIZE)(people[i], rng) for i in range(3)]  # number 3 is missing
        found = [
            PosePrediction(keypoints=s.keypoints.xy, scores=np.ones(17, np.float32))
            for s in samples
            if s.keypoints is not None
        ]
        pose.update_metrics(found, collate(samples))
        pose.leave_out(left_out)
        measured[len(left_out)] = pose.compute_metrics()[0]["AR"]
    assert measured == {0: pytest.approx(0.75), 1: pytest.approx(1)}


def test_a_dataset_of_another_skeleton_is_refused(people: SyntheticPeople) -> None:
    with pytest.raises(ValueError, match=r"the 17 keypoints of 'coco17', the task the 133.*skel"):
        task("wholebody133").setup(train=None, val=people)
