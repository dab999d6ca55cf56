"""What a task says of an output: its loss, its meaning in the source image, its metrics.

A task is a plain module without a training loop, so it serves a notebook, and several tasks can
share one encoder. ``Learner`` runs the loop and calls the methods below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.sample import Batch


class Task(nn.Module):
    """Base of all tasks: override ``compute_loss``, ``predict`` and ``update_metrics``.

    With ``flip_test`` the learner also runs the flipped images when evaluating and hands both
    outputs to ``average_flipped``.

    Args:
        loss: what ``compute_loss`` calls.
        metrics: each computes a dict from names, which its ``names`` lists, to values. What is
            undefined is left out and explained in the metric's ``undefined``.
        flip_test: average the output with that of the flipped image when evaluating.

    Raises:
        ValueError: two metrics log the same name.
    """

    name: str  # as exports and people call it
    hardest: Literal["min", "max"] = "max"  # which first value of `sample_metrics`

    def __init__(
        self, *, loss: nn.Module, metrics: Mapping[str, Metric], flip_test: bool = False
    ) -> None:
        super().__init__()
        check_names(metrics)
        self.flip_test = flip_test
        self.loss = loss
        self.metrics = nn.ModuleDict(dict(metrics))

    def compute_loss(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the named, weighted terms of the loss; their sum is minimized."""
        raise NotImplementedError

    def predict(self, output: Any, batch: Batch) -> Sequence[Any]:
        """Return one prediction per sample, in the source image."""
        raise NotImplementedError

    def update_metrics(self, predictions: Sequence[Any], batch: Batch) -> None:
        """Update the metrics with one batch."""
        raise NotImplementedError

    def sample_metrics(
        self, predictions: Sequence[Any], batch: Batch
    ) -> Sequence[dict[str, float]]:
        """Return metrics of each sample; the first says how hard it is. None by default.

        An empty dictionary stands for a sample without ground truth.
        """
        return [{} for _ in predictions]

    def average_flipped(self, output: Any, flipped: Any) -> Any:
        """Return the mean of an output and that of the flipped images, flipped back."""
        raise NotImplementedError

    def setup(self, *, train: Dataset | None, val: Dataset, partial: bool = False) -> None:
        """Take from the datasets what loss and metrics need before the first batch.

        Args:
            train: the training set; ``None`` when only evaluating.
            val: the dataset that is evaluated.
            partial: only a part of ``val`` will be evaluated.
        """

    def leave_out(self, indices: Sequence[int]) -> None:
        """Take note of samples of the evaluated dataset that could not be read.

        Called before ``compute_metrics``, with the same indices in all processes.
        """

    def meaning(self) -> dict[str, Any]:
        """Return what the outputs are, as plain values; a checkpoint must agree to be loaded."""
        return {}

    def metadata(self) -> dict[str, Any]:
        """Return what checkpoints and exports say of the task: plain values.

        ``name``, ``meaning`` and ``flip_test``, and whatever it takes to use the outputs without
        this task.
        """
        return {"name": self.name, "meaning": self.meaning(), "flip_test": self.flip_test}

    def each_metric(self) -> Iterator[Metric]:
        """Go through the metrics."""
        for metric in self.metrics.values():
            assert isinstance(metric, Metric)
            yield metric

    def metric_names(self) -> list[str] | None:
        """Return the names of all metrics; ``None`` if one of them does not list its own."""
        names: list[str] = []
        for metric in self.each_metric():
            own = getattr(metric, "names", None)
            if own is None:
                return None
            names += own
        return names

    def compute_metrics(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the metrics and, for those that are undefined, the reasons; then reset them.

        Raises:
            ValueError: two metrics gave the same name.
        """
        metrics: dict[str, float] = {}
        undefined: dict[str, str] = {}
        for metric in self.each_metric():
            own = {name: float(value) for name, value in metric.compute().items()}
            if repeated := sorted(metrics.keys() & own.keys()):
                raise ValueError(f"two of task.metrics log {repeated[0]}; leave one of them out")
            metrics |= own
            undefined |= getattr(metric, "undefined", {})
            metric.reset()
        return metrics, undefined


def check_names(metrics: Mapping[str, Metric]) -> None:
    """Check that no two metrics log the same name, as far as they list their names.

    Raises:
        ValueError: two do.
    """
    owners: dict[str, str] = {}
    for key, metric in metrics.items():
        for name in getattr(metric, "names", ()):
            if name in owners:
                raise ValueError(
                    f"the metrics {owners[name]!r} and {key!r} of task.metrics both log {name}; "
                    "leave one of them out, or give it another threshold or alignment"
                )
            owners[name] = key


def loss_terms(value: Tensor | dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Name the value of a loss that has one term; a sum of losses brings its own names."""
    return value if isinstance(value, dict) else {name: value}
