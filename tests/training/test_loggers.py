"""Loggers: one word each, images for all, and one identity of a continued run."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sapiens_lab.training import loggers
from sapiens_lab.training.loggers import MLflowLogger, send_image
from tests.command import TINY, Commands, status

IMAGE = np.zeros((8, 8, 3), np.uint8)


def test_wandb_offline_keeps_its_id_when_the_run_is_continued(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    words = ["logger=wandb", "logger.wandb.offline=true", "trainer.max_epochs=1"]
    commands.train(*words)
    [run] = commands.runs()
    commands.train("resume=auto", "trainer.max_epochs=2", tiny=False)
    folders = sorted(path.name for path in run.glob("wandb/offline-run-*"))
    assert len(folders) == 2
    assert {name.rpartition("-")[2] for name in folders} == {(run / "wandb_id").read_text().strip()}
    shown = {path.parent.name for path in run.glob("wandb/offline-run-*/files/media/images/*")}
    images = [path.name for path in run.glob("wandb/offline-run-*/files/media/images/**/*.png")]
    assert shown
    for name in ("predictions", "hardest", "PCK@0.1"):
        assert any(image.startswith(name) for image in images), images


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # of the models of MLflow
def test_mlflow_keeps_its_run_and_its_images(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy", reason="mlflow-skinny has no database")

    def logger() -> MLflowLogger:
        return MLflowLogger(
            folder=str(tmp_path),
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
            experiment_name="mine",
            run_name="first",
            artifact_location=str(tmp_path / "artifacts"),
        )

    first = logger()
    first.log_metrics({"val/PCK@0.1": 0.5}, 3)
    first.finalize("success")
    second = logger()
    assert second.run_id == first.run_id
    second.log_metrics({"val/PCK@0.1": 0.75}, 6)
    trainer: Any = SimpleNamespace(loggers=[second], global_step=6)
    send_image(trainer, "tables/PCK@0.1", IMAGE)
    client, run_id = second.experiment, second.run_id
    history = client.get_metric_history(run_id, "val/PCK_at_0.1")
    assert [(m.step, m.value) for m in history] == [(3, 0.5), (6, 0.75)]
    assert list(tmp_path.glob("artifacts/**/PCK_at_0.1/00000006.png"))


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named_with_its_remedy(
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    find = loggers.find_spec
    monkeypatch.setattr(loggers, "find_spec", lambda n: None if n == name else find(n))
    assert status("train", *TINY, f"logger={name}") == 1
    said = capsys.readouterr().err
    assert re.search(rf'needs {name}: pip install "sapiens-lab\[{name}\]"', said)
    assert "Traceback" not in said


def test_without_loggers_a_run_still_writes_its_files(commands: Commands) -> None:
    commands.train("logger=none", "trainer.max_epochs=1")
    [run] = commands.runs()
    assert not (run / "metrics.csv").exists()
    assert not (run / "tensorboard").exists()
    assert (run / "metrics.json").is_file()
    assert (run / "hardest/epoch_0001.png").is_file()
