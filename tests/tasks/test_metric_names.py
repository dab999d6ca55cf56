from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import Metric

from sapiens_lab.metrics.depth import DepthErrors
from sapiens_lab.metrics.normal import AngularErrors
from sapiens_lab.metrics.pose import NME, PCK, OksAP
from sapiens_lab.metrics.segmentation import MeanIoU
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.task import Task


class Unlisted(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """A metric from elsewhere, which does not list its names."""

    def update(self) -> None:
        """Take nothing."""

    def compute(self) -> dict[str, float]:
        """Return a name that another metric has too."""
        return {"NME": 1.0}


def task(**metrics: Metric) -> Task:
    return Task(loss=nn.Identity(), metrics=metrics)


def test_thresholds_and_alignments_are_told_apart_by_name() -> None:
    both = task(
        strict=PCK(0.05),
        loose=PCK(0.5),
        raw=DepthErrors(),
        fit=DepthErrors(alignment="scale"),
    )
    points = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    target, visible = points + torch.tensor([2.0, 0.0]), torch.ones(1, 2)
    for metric in (both.metrics["strict"], both.metrics["loose"]):
        metric.update(points, target, visible, torch.tensor([10.0]))
    nothing = torch.zeros(2, 2)
    for metric in (both.metrics["raw"], both.metrics["fit"]):
        metric.update(nothing, nothing, nothing.bool())
    metrics, undefined = both.compute_metrics()
    assert metrics == {"PCK@0.05": 0, "PCK@0.5": 1}
    assert "rmse" in undefined
    assert "rmse_scale" in undefined


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        ({"a": PCK(0.1), "b": PCK()}, "PCK@0.1"),
        ({"a": DepthErrors(), "b": DepthErrors()}, "rmse"),
        ({"a": AngularErrors(), "b": AngularErrors(thresholds_deg=[1])}, "mean_angular_error"),
        ({"a": MeanIoU(classes=["x"]), "b": MeanIoU(classes=["y"])}, "mIoU"),
        ({"a": OksAP("coco17"), "b": OksAP("coco17")}, "AP"),
    ],
)
def test_two_metrics_of_one_name_are_refused(metrics: Mapping[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"'a' and 'b' of task.metrics both log {name}"):
        task(**metrics)
    a, b = task(a=metrics["a"]), task(b=metrics["b"])
    with pytest.raises(ValueError, match=r"'first\.a' and 'second\.b'"):
        MultiTask(tasks={"first": a, "second": b})


def test_a_name_that_was_not_listed_is_refused_when_it_is_computed() -> None:
    known = task(nme=NME(), other=Unlisted())
    known.metrics["nme"].update(*[torch.ones(1, 1, 2)] * 2, torch.ones(1, 1), torch.ones(1))
    with (
        pytest.warns(UserWarning, match="before the ``update``"),
        pytest.raises(ValueError, match=r"two of task\.metrics log NME"),
    ):
        known.compute_metrics()
