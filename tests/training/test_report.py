from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.training.scripted import fitted

MANY = {"loss": 2.0, "AP": 0.5} | {f"IoU/{i}": 0.1 for i in range(30)}
LOST = {f"part{i}/AP_M": math.nan for i in range(12)}


def test_the_table_shows_the_headline_metrics_and_the_file_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(tmp_path, [MANY | LOST])
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert len(lines) < 14
    assert "val/AP" in said
    assert "0.5" in said
    assert "IoU" not in said
    [undefined] = [line for line in lines if "undefined" in line]
    assert "part0/AP_M, part1/AP_M" in undefined
    assert "and 6 more" in undefined
    assert "30 more metrics in metrics.json (callbacks.report.full=true)" in said
    assert "what the metrics mean: docs/metrics.md" in said
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["last"]["val/IoU/29"] == pytest.approx(0.1)
    assert written["undefined"] == dict.fromkeys(LOST, "no person")


def test_the_monitored_metric_is_always_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(tmp_path, [MANY], monitor="val/IoU/7")
    said = capsys.readouterr().out
    assert "val/IoU/7" in said
    assert "val/IoU/8" not in said


def test_everything_is_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted(tmp_path, [MANY | LOST], full_report=True)
    said = capsys.readouterr().out
    assert "val/IoU/29" in said
    assert "part11/AP_M is undefined: no person" in said
    assert "more metrics" not in said
