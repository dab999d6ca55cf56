"""Ridge regressions from a patch's features to its body part, or to the keypoints in it."""

from __future__ import annotations

from typing import Protocol

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.data.sample import Batch

MAX_CLASSES = 256  # ids of a label map are bytes
IGNORED = 255
PCK_THRESHOLD = 0.1  # of the longer side of a person's box


class Ridge:
    """Least squares with a penalty, from sums over batches: memory does not grow with the set."""

    def __init__(self) -> None:
        self._sums: list[Tensor] | None = None

    def add(self, x: Tensor, y: Tensor) -> None:
        """Show rows of features ``(n, D)`` and their targets ``(n, C)``."""
        x, y = x.double(), y.double()
        sums = [x.new_tensor(len(x)), x.sum(0), y.sum(0), x.T @ x, x.T @ y]
        old = self._sums or [torch.zeros_like(part) for part in sums]
        self._sums = [a + b for a, b in zip(old, sums, strict=True)]

    def solve(self, penalty: float, trainer: HasStrategy) -> tuple[Tensor, Tensor]:
        """Return ``weight (D, C)`` and ``bias (C,)`` float32, of what all processes have seen.

        The penalty is relative to the features' mean variance, so that it means the same for every
        encoder; the bias has none.
        """
        assert self._sums is not None
        n, x, y, xx, xy = (trainer.strategy.reduce(s, reduce_op="sum") for s in self._sums)
        x, y = x / n, y / n
        covariance = xx / n - torch.outer(x, x)
        penalized = covariance + penalty * covariance.diagonal().mean().clamp(
            min=1e-12
        ) * torch.eye(len(x), dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(penalized, xy / n - torch.outer(x, y))
        return weight.float(), (y - x @ weight).float()


class HasStrategy(Protocol):
    """What sums over processes: a trainer."""

    @property
    def strategy(self) -> L.pytorch.strategies.Strategy:
        """How processes work together."""


class PartProbe:
    """The fraction of every class among a patch's labeled pixels; its prediction is the largest."""

    def __init__(self) -> None:
        self.ridge = Ridge()
        self._confusion: Tensor | None = None

    def fit(self, features: Tensor, batch: Batch) -> None:
        """Show features ``(B, D, h, w)``."""
        fractions = class_fractions(batch, (features.shape[-2], features.shape[-1]))
        rows = features.flatten(2).transpose(1, 2)
        seen = fractions.sum(-1) > 0
        self.ridge.add(rows[seen], fractions[seen])

    def update(self, responses: Tensor, batch: Batch) -> None:
        """Compare responses ``(B, N, C)`` with the class that most of a patch's pixels have."""
        grid = _grid(batch, responses.shape[1])
        fractions = class_fractions(batch, grid)
        seen = fractions.sum(-1) > 0
        pair = fractions[seen].argmax(-1) * MAX_CLASSES + responses[seen].argmax(-1)
        counts = torch.bincount(pair, minlength=MAX_CLASSES**2)
        self._confusion = counts if self._confusion is None else self._confusion + counts

    def compute(self, trainer: HasStrategy) -> dict[str, float]:
        """Return mIoU over the classes that occur in the ground truth, and accuracy."""
        assert self._confusion is not None
        total = trainer.strategy.reduce(self._confusion, reduce_op="sum").double()
        matrix = total.view(MAX_CLASSES, MAX_CLASSES)
        hits, gt = matrix.diagonal(), matrix.sum(1)
        iou = hits / (gt + matrix.sum(0) - hits)
        return {
            "probe_mIoU": float(iou[gt > 0].mean()),
            "probe_acc": float(hits.sum() / gt.sum()),
        }


class KeypointProbe:
    """Which keypoints lie in a patch; predicts the center of the patch with the highest response.

    A point counts as found within a tenth of the longer side of the person's box (PCK), taken to
    the input image. Points outside it do not count.
    """

    def __init__(self) -> None:
        self.ridge = Ridge()
        self._counts: Tensor | None = None

    def fit(self, features: Tensor, batch: Batch) -> None:
        """Show features ``(B, D, h, w)``."""
        grid = (features.shape[-2], features.shape[-1])
        place, seen = _token_of(batch, grid)
        target = F.one_hot(place, grid[0] * grid[1]).transpose(1, 2) * seen[:, None]
        rows = features.flatten(2).transpose(1, 2)
        self.ridge.add(rows.flatten(0, 1), target.flatten(0, 1))

    def update(self, responses: Tensor, batch: Batch) -> None:
        """Compare the highest of ``(B, N, K)`` with the ground truth."""
        rows, columns = _grid(batch, responses.shape[1])
        _, seen = _token_of(batch, (rows, columns))
        best = responses.argmax(1)  # (B, K)
        size = batch.image.shape[-1] / columns, batch.image.shape[-2] / rows
        found = torch.stack([best % columns * size[0], best // columns * size[1]], -1)
        center = found + found.new_tensor(size) / 2 - 0.5
        extents = [
            geometry.max_scale(m.matrix) * float(max(m.bbox[2:] - m.bbox[:2])) for m in batch.meta
        ]
        limit = PCK_THRESHOLD * center.new_tensor(extents)[:, None]
        near = (center - batch["keypoints"]).norm(dim=-1) <= limit
        counts = torch.stack([(near & seen).sum(), seen.sum()])
        self._counts = counts if self._counts is None else self._counts + counts

    def compute(self, trainer: HasStrategy) -> dict[str, float]:
        """Return the fraction of labeled points that were found."""
        assert self._counts is not None
        right, total = trainer.strategy.reduce(self._counts, reduce_op="sum").tolist()
        return {"probe_PCK": right / total} if total else {}


def class_fractions(batch: Batch, grid: tuple[int, int]) -> Tensor:
    """Return the fraction ``(B, N, 256)`` of every class among each patch's labeled pixels.

    Patches without a labeled pixel have zeros.
    """
    labels = batch["labels"]
    window = (labels.shape[-2] // grid[0], labels.shape[-1] // grid[1])
    fractions = torch.zeros(len(labels), grid[0] * grid[1], MAX_CLASSES, device=labels.device)
    present = torch.bincount(labels.flatten(), minlength=MAX_CLASSES)
    for number in present.nonzero()[:, 0].tolist():
        if number != IGNORED:
            here = (labels == number).float()[:, None]
            fractions[..., number] = F.avg_pool2d(here, window).flatten(1)
    return fractions / fractions.sum(-1, keepdim=True).clamp(min=1e-9)


def _token_of(batch: Batch, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the patch ``(B, K)`` in which each keypoint lies, and whether it lies in any."""
    height, width = batch.image.shape[-2:]
    x, y = (batch["keypoints"] + 0.5).unbind(-1)  # from the first pixel's outer edge
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (batch["keypoints_visible"] > 0)
    column = (x.clamp(0, width - 1) * grid[1] / width).long()
    row = (y.clamp(0, height - 1) * grid[0] / height).long()
    return row * grid[1] + column, inside


def _grid(batch: Batch, tokens: int) -> tuple[int, int]:
    """Return (rows, columns) of the patches, which are square."""
    height, width = batch.image.shape[-2:]
    rows = round((tokens * height / width) ** 0.5)
    return rows, tokens // rows
