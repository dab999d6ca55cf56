"""The dense tasks on outputs that are known to be right, flipped, or scaled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data import crops
from sapiens_lab.data import transforms as T
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.sample import Batch, Meta, Sample, collate
from sapiens_lab.losses.combine import SumOfLosses
from sapiens_lab.losses.depth import SiLogLoss
from sapiens_lab.losses.normal import NormalCosineLoss, NormalL1Loss
from sapiens_lab.losses.segmentation import WeightedCrossEntropy
from sapiens_lab.metrics.depth import DepthErrors
from sapiens_lab.metrics.normal import AngularErrors
from sapiens_lab.metrics.segmentation import MeanIoU
from sapiens_lab.tasks import to_source as to_source_module
from sapiens_lab.tasks.depth import DepthTask, relative_depth
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.normal import NormalTask
from sapiens_lab.tasks.segmentation import SegmentationTask
from sapiens_lab.tasks.task import Task
from sapiens_lab.tasks.to_source import labels_to_source, to_source

SIZE = (64, 48)
FIELDS = ("keypoints", "labels", "depth", "normal")


@pytest.fixture(scope="module")
def people() -> SyntheticPeople:
    return SyntheticPeople(
        num_scenes=3, image_size=(96, 72), fields=FIELDS, cache=False, supersample=1
    )


@pytest.fixture(scope="module")
def batch(people: SyntheticPeople) -> Batch:
    rng = np.random.default_rng(0)
    steps = (crops.Resize((96, 72)), T.Warp((96, 72), keep_source=True))
    samples = []
    for sample in (people[i] for i in range(3)):
        for step in steps:
            sample = step(sample, rng)
        samples.append(sample)
    return collate(samples)


def segmentation(**changes: object) -> SegmentationTask:
    arguments = {
        "parts": "goliath28",
        "loss": WeightedCrossEntropy(),
        "metrics": {"iou": MeanIoU(classes=Parts.load("goliath28").classes)},
    }
    return SegmentationTask(**{**arguments, **changes})  # type: ignore[arg-type]


def depth() -> DepthTask:
    metrics = {
        "raw": DepthErrors(alignment="raw"),
        "aligned": DepthErrors(alignment="scale_shift"),
    }
    return DepthTask(loss=SiLogLoss(), metrics=metrics)


def normal() -> NormalTask:
    loss = SumOfLosses(terms={"cosine": NormalCosineLoss(), "l1": NormalL1Loss()})
    return NormalTask(loss=loss, metrics={"angle": AngularErrors()}, flip_test=True)


def perfect(batch: Batch) -> dict[str, Tensor]:
    return {
        "segmentation": 20 * F.one_hot(batch["labels"].long(), 28).permute(0, 3, 1, 2).float(),
        "depth": relative_depth(batch["depth"], batch["depth_valid"]),
        "normal": batch["normal"],
    }


def measure(task: Task, output: object, batch: Batch) -> dict[str, float]:
    task.update_metrics(task.predict(output, batch), batch)
    return task.compute_metrics()[0]


def test_a_perfect_output_has_perfect_numbers(batch: Batch) -> None:
    output = perfect(batch)
    assert measure(segmentation(), output["segmentation"], batch)["mIoU"] == 1
    numbers = measure(depth(), output["depth"], batch)
    assert numbers["rmse"] == pytest.approx(0, abs=1e-6)
    assert numbers["delta1"] == 1
    assert measure(normal(), output["normal"], batch)["mean_angular_error"] < 0.1
    assert float(segmentation().compute_loss(output["segmentation"], batch)["cross_entropy"]) < 1e-5
    assert set(normal().compute_loss(output["normal"], batch)) == {"cosine", "l1"}


def test_depth_of_another_scale_and_shift_is_right_once_aligned(batch: Batch) -> None:
    numbers = measure(depth(), 3 * perfect(batch)["depth"] + 1, batch)
    assert numbers["rmse"] > 1
    assert numbers["rmse_scale_shift"] == pytest.approx(0, abs=1e-4)


def test_relative_depth_is_nearest_0_farthest_1_and_survives_odd_cases() -> None:
    values = torch.tensor([[[[2.0, 3.0], [4.0, 99.0]]]])
    valid = torch.tensor([[[[True, True], [True, False]]]])
    torch.testing.assert_close(
        relative_depth(values, valid), torch.tensor([[[[0.0, 0.5], [1.0, 0.0]]]])
    )
    flat, nothing = torch.full((1, 1, 2, 2), 5.0), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    assert (relative_depth(flat, ~nothing) == 0).all()
    assert (relative_depth(flat, nothing) == 0).all()
    # A depth that is not finite stays so, for losses and metrics to leave out.
    dirty = torch.tensor([[[[2.0, torch.nan], [torch.inf, 4.0]]]])
    scaled = relative_depth(dirty, ~nothing)
    assert scaled.isfinite().flatten().tolist() == [True, False, False, True]
    assert scaled[scaled.isfinite()].tolist() == [0, 1]


def test_the_flipped_output_of_a_perfect_network_changes_nothing(
    people: SyntheticPeople, batch: Batch
) -> None:
    """Flip the scene, take its perfect output, and hand it to the flip test."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(3):
        sample = people[i].move(geometry.flip((72 - 1) / 2))
        samples.append(T.Warp((96, 72))(sample, rng))
    flipped, output = perfect(collate(samples)), perfect(batch)
    for name, task in (("segmentation", segmentation()), ("depth", depth()), ("normal", normal())):
        averaged = task.average_flipped(output[name], flipped[name])
        torch.testing.assert_close(averaged, output[name], msg=name)


def test_several_tasks_share_one_output(batch: Batch) -> None:
    tasks = {"segmentation": segmentation(), "depth": depth(), "normal": normal()}
    task = MultiTask(tasks=tasks, weights={"depth": 2.0})
    output = perfect(batch)
    noisy = {name: value + 0.1 for name, value in output.items()}
    terms = task.compute_loss(noisy, batch)
    assert set(terms) == {
        "segmentation_cross_entropy",
        "depth_depth",
        "normal_cosine",
        "normal_l1",
    }
    alone = tasks["depth"].compute_loss(noisy["depth"], batch)["depth"]
    torch.testing.assert_close(terms["depth_depth"], 2 * alone)
    assert {"mIoU", "rmse", "mean_angular_error"} <= set(measure(task, output, batch))
    with pytest.raises(ValueError, match=r"task.weights names \['pose'\]"):
        MultiTask(tasks=tasks, weights={"pose": 1.0})


def test_a_data_set_of_other_classes_is_refused(people: SyntheticPeople) -> None:
    other = segmentation(parts="face19", metrics={})
    with pytest.raises(ValueError, match=r"28 classes of 'goliath28', the task the 19.*`parts=`"):
        other.setup(train=None, val=people)


def test_a_dataset_without_labels_is_refused(people: SyntheticPeople) -> None:
    class OnlyImages(Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            return people[index]

    with pytest.raises(ValueError, match=r"OnlyImages has no labels"):
        segmentation().setup(train=None, val=OnlyImages())


def test_absent_classes_are_named_with_the_number_of_maps_that_were_read(
    people: SyntheticPeople, caplog: pytest.LogCaptureFixture
) -> None:
    segmentation().setup(train=None, val=people)
    assert "3 label maps of the evaluation set show no pixel of " in caplog.text


def test_weights_are_counted_where_asked(people: SyntheticPeople) -> None:
    loss = WeightedCrossEntropy(class_weights="auto")
    with pytest.raises(ValueError, match="auto"):
        loss(torch.zeros(1, 28, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))
    task = segmentation(loss=loss)
    task.setup(train=people, val=people)
    weights = loss.class_weights
    assert isinstance(weights, Tensor)
    assert weights.shape == (28,)
    assert weights[0] < weights[3]  # the background is common, hair is not


def test_a_map_goes_back_to_the_source_by_the_inverse_matrix() -> None:
    """A plane ``value = x`` of the source, seen turned and enlarged, is found again."""
    matrix = geometry.compose(
        geometry.rotate(20, np.array([20.0, 30.0])), geometry.scale(0.8, np.zeros(2))
    )
    box = np.zeros(4, np.float32)
    meta = Meta(id=0, image_id=0, path="", size=(60, 50), bbox=box, matrix=matrix)
    y, x = np.indices((64, 64), np.float64)
    seen = geometry.apply(geometry.invert(matrix), np.stack([x, y], -1))[..., 0]
    values = to_source(torch.from_numpy(seen)[None].float(), meta, (64, 64))[0]
    sy, sx = np.indices((60, 50))
    place = geometry.apply(matrix, np.stack([sx, sy], -1))
    inside = ((place >= 0) & (place <= 63)).all(-1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(values.numpy()[inside], sx[inside], atol=1e-3)


def test_a_stretched_map_goes_back_as_the_official_code_resizes_it() -> None:
    logits = torch.randn(4, 16, 12)
    meta = Meta(
        id=0, image_id=0, path="", size=(90, 70), bbox=np.zeros(4, np.float32),
        matrix=geometry.resize((90, 70), (64, 48)),
    )  # fmt: skip
    options = {"mode": "bilinear", "align_corners": False}
    expected = F.interpolate(F.interpolate(logits[None], (64, 48), **options), (90, 70), **options)
    torch.testing.assert_close(to_source(logits, meta, (64, 48)), expected[0])
    turned = replace(meta, matrix=geometry.compose(geometry.translate(0, 1e-6), meta.matrix))
    torch.testing.assert_close(
        to_source(logits, turned, (64, 48)), expected[0], atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("size", [(97, 131), (40, 30)])
@pytest.mark.parametrize("whole", [True, False])
def test_labels_in_bands_are_those_of_all_logits(
    size: tuple[int, int], whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(28, 32, 24, generator=torch.Generator().manual_seed(0))
    box = np.array([5, 3, 28, 37])
    matrix = geometry.resize(size, (64, 48)) if whole else geometry.crop(box, (64, 48))
    meta = Meta(id=0, image_id=0, path="", size=size, bbox=box, matrix=matrix)
    expected = to_source(logits, meta, (64, 48))
    monkeypatch.setattr(to_source_module, "BAND_BYTES", 28 * 4 * size[1] * 7)  # 7 rows
    assert torch.equal(to_source(logits, meta, (64, 48)), expected)
    labels = labels_to_source(logits, meta, (64, 48))
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), expected.argmax(0))
