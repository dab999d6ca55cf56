"""Metrics of each sample, the hardest of them drawn, and tables by class and keypoint."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Meta
from sapiens_lab.training.callbacks.hardest import HardestSamples
from sapiens_lab.training.callbacks.tables import draw_tables
from tests.command import Run, metrics
from tests.tasks import test_dense as dense
from tests.training.scripted import ScriptedBatch, ScriptedTask, fitted


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_of_pose_ranks_its_people(trained: Run) -> None:
    rows = table(trained.folder / "hardest/epoch_0002.csv")
    assert sorted(int(row["id"]) for row in rows) == [0, 1, 2, 3, 4]
    errors = [float(row["NME"]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    points = [int(row["num_keypoints"]) for row in rows]
    mean = np.average(errors, weights=points)
    assert mean == pytest.approx(metrics(trained.folder)["last"]["val/NME"], rel=1e-4)
    assert all(float(row["largest_error"]) >= float(row["NME"]) for row in rows)
    assert read_image(trained.folder / "hardest/epoch_0002.png").shape[0] > 3 * 256
    assert (trained.folder / "tables/PCK@0.1.png").is_file()


class Measured(ScriptedTask):
    """Say how hard each sample is by a list."""

    values: tuple[float | None, ...] = ()

    def sample_metrics(self, predictions: Any, batch: Any) -> list[dict[str, float]]:
        """Return the value of each sample."""
        values = (self.values[meta.id] for meta in batch.meta)
        return [{} if value is None else {"score": value} for value in values]


@pytest.mark.parametrize(("hardest", "order"), [("max", [3, 1, 0, 4, 2]), ("min", [3, 4, 0, 1, 2])])
def test_the_hardest_come_first_and_what_has_no_metric_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hardest: Any, order: list[int]
) -> None:
    values = (0.5, 0.9, None, math.nan, 0.1)
    monkeypatch.setattr(Measured, "values", values)
    monkeypatch.setattr(Measured, "hardest", hardest)
    monkeypatch.setattr("tests.training.scripted.ScriptedTask", Measured)
    monkeypatch.setattr(ScriptedBatch, "__init__", with_metadata)
    monkeypatch.setattr("tests.training.scripted.ScriptedData.val_dataloader", loader)
    drawn: list[int] = []
    callback = HardestSamples(View(drawn), folder=str(tmp_path / "hardest"), num_samples=2)
    fitted(tmp_path, [{"AP": 0.1}], callbacks=[callback])
    rows = table(tmp_path / "hardest/epoch_0001.csv")
    assert [int(row["id"]) for row in rows] == order
    assert (tmp_path / "hardest/epoch_0001.png").is_file()
    assert 2 not in drawn
    assert set(order[:2]) <= set(drawn)


def with_metadata(batch: ScriptedBatch, rows: list[int]) -> None:
    batch.image = torch.ones(len(rows), 1)
    box = np.zeros(4, np.float32)
    batch.meta = [
        Meta(id=row, image_id=row, path=f"{row}.jpg", size=(4, 4), bbox=box) for row in rows
    ]
    batch.dropped = []


def loader(data: Any) -> Any:
    return torch.utils.data.DataLoader(range(5), batch_size=2, collate_fn=ScriptedBatch)  # type: ignore[arg-type]


class View:
    """Note what is drawn."""

    titles = ("input", "prediction")

    def __init__(self, drawn: list[int]) -> None:
        self.drawn = drawn

    def plain(self, batch: Any, index: int) -> Any:
        """Return a gray image."""
        self.drawn.append(batch.meta[index].id)
        return np.full((64, 48, 3), 128, np.uint8)

    def target(self, batch: Any, index: int) -> None:
        """Return nothing."""

    def prediction(self, batch: Any, index: int, prediction: Any) -> Any:
        """Return a gray image."""
        return np.full((64, 48, 3), 128, np.uint8)


people, batch = dense.people, dense.batch


@pytest.mark.parametrize("make", [dense.segmentation, dense.depth, dense.normal])
def test_a_sample_has_the_metrics_of_a_set_of_its_own(make: Any, batch: Any) -> None:
    task = make()
    torch.manual_seed(0)
    output = dense.perfect(batch)[task.name]
    predictions = task.predict(output + 0.3 * torch.randn_like(output), batch)
    rows = task.sample_metrics(predictions, batch)
    for i, row in enumerate(rows):
        for metric in task.each_metric():
            metric.reset()
        gt, whole = batch.gt, batch.gt[i : i + 1]
        batch.gt = whole
        task.update_metrics(predictions[i : i + 1], batch)
        batch.gt = gt
        alone, _ = task.compute_metrics()
        assert row
        for name, value in row.items():
            assert value == pytest.approx(alone[name], rel=1e-4, abs=1e-6), name


def test_a_sample_without_ground_truth_has_no_metric(batch: Any) -> None:
    task = dense.segmentation()
    predictions = task.predict(dense.perfect(batch)["segmentation"], batch)
    before = batch.gt[0]["labels"]
    batch.gt[0]["labels"] = torch.full_like(before, 255)
    assert task.sample_metrics(predictions, batch)[0] == {}
    batch.gt[0]["labels"] = before


def test_tables_are_those_of_the_last_validation(batch: Any) -> None:
    task = dense.segmentation()
    assert draw_tables(task) == {}
    task.update_metrics(task.predict(dense.perfect(batch)["segmentation"], batch), batch)
    task.compute_metrics()
    assert set(draw_tables(task)) == {"IoU", "confusion"}
    [iou] = task.each_metric()
    assert int(iou.counts.sum()) == sum(int((gt["labels"] != 255).sum()) for gt in batch.gt)
