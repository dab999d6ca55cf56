"""Several tasks on one encoder: one pass, as many answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import NonNegative
from sapiens_lab.tasks.task import Task, check_names


class MultiTask(Task):
    """Hand each task its part of the output, a dictionary by the tasks' names.

    Args:
        tasks: by name; the model has a head of the same name for each.
        weights: factor of each task's loss; 1 where not named.

    Raises:
        ValueError: a weight names no task, or two tasks log a metric of the same name.
    """

    name = "multitask"

    def __init__(
        self, *, tasks: Mapping[str, Task], weights: Mapping[str, NonNegative] | None = None
    ) -> None:
        flip_test = all(task.flip_test for task in tasks.values())
        super().__init__(loss=nn.Identity(), metrics={}, flip_test=flip_test)
        metrics = {f"{name}.{key}": m for name, t in tasks.items() for key, m in t.metrics.items()}
        check_names({key: m for key, m in metrics.items() if isinstance(m, Metric)})
        self.tasks = nn.ModuleDict(dict(tasks))
        self.hardest = next(iter(tasks.values())).hardest
        self.weights = dict.fromkeys(tasks, 1.0) | dict(weights or {})
        if unknown := set(self.weights) - set(tasks):
            raise ValueError(f"task.weights names {sorted(unknown)}; the tasks are {list(tasks)}")

    def setup(self, *, train: Dataset | None, val: Dataset, partial: bool = False) -> None:
        """Set up every task."""
        for _, task in self._named():
            task.setup(train=train, val=val, partial=partial)

    def leave_out(self, indices: Sequence[int]) -> None:
        """Tell every task."""
        for _, task in self._named():
            task.leave_out(indices)

    def compute_loss(self, output: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of all tasks as ``<task>_<term>``."""
        return {
            f"{name}_{term}": self.weights[name] * value
            for name, task in self._named()
            for term, value in task.compute_loss(output[name], batch).items()
        }

    def average_flipped(
        self, output: Mapping[str, Any], flipped: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Let every task average its own."""
        return {
            name: task.average_flipped(output[name], flipped[name]) for name, task in self._named()
        }

    def predict(self, output: Mapping[str, Any], batch: Batch) -> list[dict[str, Any]]:
        """Return a dictionary of predictions for each sample."""
        answers = {name: task.predict(output[name], batch) for name, task in self._named()}
        return [{name: rows[i] for name, rows in answers.items()} for i in range(len(batch))]

    def update_metrics(self, predictions: Sequence[dict[str, Any]], batch: Batch) -> None:
        """Let every task measure its own."""
        for name, task in self._named():
            task.update_metrics([answers[name] for answers in predictions], batch)

    def sample_metrics(
        self, predictions: Sequence[dict[str, Any]], batch: Batch
    ) -> list[dict[str, float]]:
        """Return the metrics of each task as ``<task>_<name>``; the first task ranks.

        A sample without ground truth of the first task has none.
        """
        each = {
            name: task.sample_metrics([answers[name] for answers in predictions], batch)
            for name, task in self._named()
        }
        first = next(iter(each.values()))
        return [
            {f"{name}_{key}": v for name, rows in each.items() for key, v in rows[i].items()}
            if first[i]
            else {}
            for i in range(len(predictions))
        ]

    def meaning(self) -> dict[str, Any]:
        """Return the meanings of all tasks; each has a key of its own."""
        return {k: v for _, task in self._named() for k, v in task.meaning().items()}

    def metadata(self) -> dict[str, Any]:
        """Add the metadata of each task by its name."""
        return {**super().metadata(), "tasks": {n: task.metadata() for n, task in self._named()}}

    def metric_names(self) -> list[str] | None:
        """Return the names of the metrics of all tasks; ``None`` if one of them is not known."""
        names: list[str] = []
        for _, task in self._named():
            own = task.metric_names()
            if own is None:
                return None
            names += own
        return names

    def compute_metrics(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the metrics of all tasks."""
        metrics: dict[str, float] = {}
        undefined: dict[str, str] = {}
        for _, task in self._named():
            own, reasons = task.compute_metrics()
            metrics |= own
            undefined |= reasons
        return metrics, undefined

    def _named(self) -> list[tuple[str, Task]]:
        return [(name, task) for name, task in self.tasks.items() if isinstance(task, Task)]
