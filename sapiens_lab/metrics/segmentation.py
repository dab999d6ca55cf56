"""Metrics of part maps from one confusion matrix over all pixels of all images.

torchmetrics' own segmentation ``MeanIoU`` averages over images, which is not what benchmarks
report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric


class ClassScore(NamedTuple):
    """One row of the table of classes; ``None`` where it is undefined for the class."""

    name: str
    IoU: float | None  # None: neither in the ground truth nor predicted
    accuracy: (
        float | None
    )  # fraction of the class's pixels that were found; None: not in the ground truth
    fraction: float  # of all labeled pixels


class MeanIoU(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """Intersection over union of every class and on average; mean and overall pixel accuracy.

    The official rule (reference of Sapiens v1, section 9.4): counts are summed over all images
    first, at the resolution of the ground truth, and the means are over the classes for which they
    are defined.

    Args:
        classes: their names, in the order of the ids.
        ignore_index: label of the pixels that do not count.

    Raises:
        ValueError: there is no class, or two have one name.
    """

    confusion: Tensor  # (C, C) int64 pixels; rows are the ground truth, columns the prediction
    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out

    def __init__(self, *, classes: Sequence[str], ignore_index: int = 255) -> None:
        super().__init__()
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f"classes need names, each its own, got {list(classes)}")
        self.classes, self.ignore_index = tuple(classes), ignore_index
        self.names = ("mIoU", "mAcc", "aAcc", *(f"IoU/{name}" for name in classes))
        self.undefined = {}
        self._table: list[ClassScore] | None = None
        self.counts: Tensor | None = None  # (C, C) pixels of the last `compute`; rows are true
        C = len(classes)
        self.add_state("confusion", default=torch.zeros(C, C).long(), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of class ids ``preds`` and ``target``, of any one shape.

        Raises:
            ValueError: the shapes differ, or a pixel that counts has an id that is no class.
        """
        if preds.shape != target.shape:
            raise ValueError(
                f"predicted labels are {tuple(preds.shape)}, ground truth {tuple(target.shape)}; "
                "upsample the logits to the size of the ground truth before the argmax"
            )
        self.confusion += count_pairs(preds, target, len(self.classes), self.ignore_index)

    def compute(self) -> dict[str, Tensor]:
        """Return ``mIoU``, ``mAcc``, ``aAcc`` and ``IoU/<class>``, fractions in 0..1."""
        self.counts = self.confusion.cpu()
        counts = self.counts.double()  # not every device knows float64
        hit, true, predicted = counts.diag(), counts.sum(1), counts.sum(0)
        iou = hit / (true + predicted - hit)  # NaN where the class occurs on neither side
        accuracy = hit / true  # NaN where the class is not in the ground truth
        rows = zip(self.classes, iou, accuracy, true / true.sum().clamp(min=1), strict=True)
        self._table = [ClassScore(n, _number(i), _number(a), float(s)) for n, i, a, s in rows]
        means = {"mIoU": iou.nanmean(), "mAcc": accuracy.nanmean(), "aAcc": hit.sum() / true.sum()}
        each = {f"IoU/{name}": value for name, value in zip(self.classes, iou, strict=True)}
        reasons = dict.fromkeys(means, "no pixel is labeled")
        reasons |= dict.fromkeys(each, "the class is neither in the ground truth nor predicted")
        metrics = means | each
        self.undefined = {n: reasons[n] for n, value in metrics.items() if value.isnan()}
        return {n: value.float() for n, value in metrics.items() if n not in self.undefined}

    def table(self) -> list[ClassScore] | None:
        """Return one row per class as the last ``compute`` found it; ``None`` before."""
        return self._table


def count_pairs(preds: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return how many pixels of each true class (row) were predicted as each class, ``(C, C)``.

    Raises:
        ValueError: a pixel that counts has an id that is no class.
    """
    C = num_classes
    preds, target = preds.int(), target.int()  # half the memory of int64, twice the speed
    strange = (preds < 0) | (preds >= C) | (target < 0) | (target >= C)
    cell = target * C + preds
    # Two more bins: a selection would copy both maps and take three times as long.
    cell.masked_fill_(strange, C * C).masked_fill_(target == ignore_index, C * C + 1)
    counts = torch.bincount(cell.flatten(), minlength=C * C + 2)
    if counts[C * C]:
        raise ValueError(
            f"{int(counts[C * C])} pixels have an id outside 0..{C - 1}, the {C} classes: "
            f"predictions reach {int(preds.max())}, labels {int(target.max())} "
            f"({ignore_index} is ignored); are these the classes of the data set?"
        )
    return counts[: C * C].view(C, C)


def image_scores(
    preds: Tensor, target: Tensor, num_classes: int, *, ignore_index: int = 255
) -> dict[str, float]:
    """Return ``mIoU`` over the classes that occur in one image, and ``aAcc``; none if unlabeled."""
    counts = count_pairs(preds, target.to(preds.device), num_classes, ignore_index).cpu().double()
    hit, either = counts.diag(), counts.sum(0) + counts.sum(1) - counts.diag()
    if not counts.any():
        return {}
    iou = hit[either > 0] / either[either > 0]
    return {"mIoU": float(iou.mean()), "aAcc": float(hit.sum() / counts.sum())}


def _number(value: Tensor) -> float | None:
    return None if value.isnan() else float(value)
