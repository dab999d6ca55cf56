"""What a task says of an output: its loss, its meaning in the source picture, its numbers.

A task is a plain module without a training loop, so it serves a notebook, and several tasks can
share one encoder. ``Learner`` runs the loop and calls the methods below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.data.sample import Batch

Model = Callable[[Tensor], Any]  # pictures (B, 3, H, W) uint8 -> output


class Task(nn.Module):
    """Base of all tasks: override ``compute_loss``, ``predict`` and ``update_metrics``.

    Args:
        loss: what ``compute_loss`` calls.
        metrics: named metrics; each computes a dict of numbers. A number that is undefined is left
            out of it and explained in the metric's ``undefined``.
    """

    def __init__(self, *, loss: nn.Module, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.loss = loss
        self.metrics = nn.ModuleDict(dict(metrics))

    def compute_loss(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the named, weighted terms of the loss; their sum is minimised."""
        raise NotImplementedError

    def predict(self, output: Any, batch: Batch) -> Sequence[Any]:
        """Return one prediction a sample, in the source picture."""
        raise NotImplementedError

    def update_metrics(self, predictions: Sequence[Any], batch: Batch) -> None:
        """Show the metrics one batch."""
        raise NotImplementedError

    def refine(self, output: Any, model: Model, image: Tensor) -> Any:
        """Improve an output at test time, for example by averaging over mirrored pictures."""
        return output

    def bind(self, dataset: Any, *, partial: bool) -> None:
        """Learn from the evaluation set what metrics need before its first batch.

        Args:
            dataset: the source-frame data set.
            partial: only a part of it will be seen.
        """

    def describe(self) -> dict[str, Any]:
        """Return what a checkpoint must agree on with the task that loads it, as plain values."""
        return {}

    def compute_metrics(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the numbers and, for those that are undefined, the reasons; then start anew."""
        numbers: dict[str, float] = {}
        undefined: dict[str, str] = {}
        for metric in self.metrics.values():
            assert isinstance(metric, Metric)
            numbers |= {name: float(value) for name, value in metric.compute().items()}
            undefined |= getattr(metric, "undefined", {})
            metric.reset()
        return numbers, undefined
