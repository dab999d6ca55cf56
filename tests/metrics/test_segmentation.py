from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sapiens_lab.metrics.segmentation import MeanIoU

CLASSES = ("background", "hair", "hand", "tongue")
IGNORE = 255


def measure(preds: Tensor, target: Tensor) -> tuple[MeanIoU, dict[str, float]]:
    metric = MeanIoU(classes=CLASSES)
    metric.update(preds, target)
    return metric, {name: float(value) for name, value in metric.compute().items()}


def maps(seed: int = 0, shape: tuple[int, ...] = (8, 9)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randint(0, 4, shape, generator=generator)
    target = torch.where(torch.rand(shape, generator=generator) < 0.5, preds, preds.flip(0))
    return preds, target.masked_fill(torch.rand(shape, generator=generator) < 0.2, IGNORE)


def test_by_hand() -> None:
    """Truth: 4 background, 2 hair, 2 ignored. Hand is predicted and never there."""
    target = torch.tensor([[0, 0, 0, 0], [1, 1, IGNORE, IGNORE]])
    preds = torch.tensor([[0, 0, 0, 1], [1, 2, 0, 3]])
    metric, numbers = measure(preds, target)
    assert numbers == pytest.approx(
        {
            "IoU/background": 3 / 4,
            "IoU/hair": 1 / 3,
            "IoU/hand": 0,
            "mIoU": (3 / 4 + 1 / 3 + 0) / 3,
            "mAcc": (3 / 4 + 1 / 2) / 2,  # of the classes in the truth
            "aAcc": 4 / 6,
        }
    )
    # The tongue is predicted in an ignored pixel only.
    assert metric.undefined == {
        "IoU/tongue": "the class is neither in the ground truth nor predicted"
    }


def test_table() -> None:
    metric = MeanIoU(classes=CLASSES)
    assert metric.table() is None
    metric.update(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 0, 1]))
    metric.compute()
    metric.reset()  # the table is of the last computation, whatever comes after
    table = metric.table()
    assert table is not None
    assert [tuple(row) for row in table] == [
        ("background", pytest.approx(2 / 3), pytest.approx(2 / 3), 0.75),
        ("hair", 0, 0, 0.25),
        ("hand", 0, None, 0),
        ("tongue", None, None, 0),
    ]


def test_perfect_and_wrong() -> None:
    target = torch.arange(4).repeat(3)
    assert set(measure(target, target)[1].values()) == {1}
    assert set(measure(3 - target, target)[1].values()) == {0}


@pytest.mark.parametrize("shape", [(72,), (1, 8, 9), (2, 1, 4, 9)])
def test_shape_does_not_matter(shape: tuple[int, ...]) -> None:
    preds, target = maps()
    assert measure(preds.view(shape), target.view(shape))[1] == measure(preds, target)[1]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_type_does_not_matter(dtype: torch.dtype) -> None:
    preds, target = maps()
    assert measure(preds.to(dtype), target.to(dtype))[1] == measure(preds, target)[1]


def test_ignored_pixels_do_not_count() -> None:
    preds, target = maps()
    changed = torch.where(target == IGNORE, torch.randint(0, 4, target.shape), preds)
    assert not torch.equal(changed, preds)
    assert measure(changed, target)[1] == measure(preds, target)[1]
    keep = target != IGNORE
    assert measure(preds[keep], target[keep])[1] == measure(preds, target)[1]
    beyond = preds.masked_fill(~keep, 99)  # nobody looks there
    assert measure(beyond, target)[1] == measure(preds, target)[1]


def test_counts_are_summed_before_the_ratio() -> None:
    """An image with one hand pixel weighs one pixel, and the mean is not that of images."""
    metric = MeanIoU(classes=CLASSES)
    metric.update(torch.tensor([2, 2, 2]), torch.tensor([2, 2, 2]))
    metric.update(torch.tensor([0]), torch.tensor([2]))
    assert float(metric.compute()["IoU/hand"]) == 0.75


def test_states_of_processes_add_up() -> None:
    whole, *parts = (MeanIoU(classes=CLASSES) for _ in range(3))
    for seed, part in enumerate(parts):
        part.update(*maps(seed))
        whole.update(*maps(seed))
    joined = MeanIoU(classes=CLASSES)
    for name, reduction in joined._reductions.items():
        states = torch.stack([getattr(part, name) for part in parts])
        setattr(joined, name, reduction(states))
    joined._update_count = 2
    assert joined.compute() == whole.compute()


def test_nothing_labeled() -> None:
    metric, numbers = measure(torch.zeros(4).long(), torch.full((4,), IGNORE))
    assert numbers == {}
    assert metric.undefined["mIoU"] == "no pixel is labeled"
    assert set(metric.undefined) == {"mIoU", "mAcc", "aAcc", *(f"IoU/{c}" for c in CLASSES)}
    assert all(math.isfinite(row.fraction) for row in metric.table() or ())


def test_reset() -> None:
    metric, numbers = measure(*maps())
    metric.reset()
    metric.update(*maps(1))
    assert metric.compute() != numbers
    metric.reset()
    metric.update(*maps())
    assert {name: float(value) for name, value in metric.compute().items()} == numbers


def test_strange_ids_are_refused() -> None:
    metric = MeanIoU(classes=CLASSES)
    with pytest.raises(ValueError, match=r"2 pixels .* 0..3.*predictions reach 7"):
        metric.update(torch.tensor([7, 4, 0]), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="labels 19"):
        metric.update(torch.tensor([0]), torch.tensor([19]))
    with pytest.raises(ValueError, match="1 pixels"):
        metric.update(torch.tensor([-1]), torch.tensor([1]))  # not a hair in the background
    assert not metric.confusion.any()


def test_other_bad_input() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(4, 4\).*upsample"):
        MeanIoU(classes=CLASSES).update(torch.zeros(2, 2).long(), torch.zeros(4, 4).long())
    with pytest.raises(ValueError, match="each its own"):
        MeanIoU(classes=["hair", "hair"])
    with pytest.raises(ValueError, match="names"):
        MeanIoU(classes=[])
