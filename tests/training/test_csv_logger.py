"""``metrics.csv`` is whole after whatever ended the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapiens_lab import atomic
from sapiens_lab.training.csv_logger import CsvLogger


def logged(path: Path, *rows: dict[str, float]) -> str:
    logger = CsvLogger(path=str(path))
    for step, row in enumerate(rows):
        logger.log_metrics(row, step)
        logger.save()
    return path.read_text()


def test_a_new_column_rewrites_the_file(tmp_path: Path) -> None:
    text = logged(tmp_path / "m.csv", {"a": 1.0}, {"a": 2.0}, {"b": 3.0})
    assert text == "step,a,b\n0,1.0,\n1,2.0,\n2,,3.0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_a_part_of_a_row_is_dropped_when_the_run_continues(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("step,a\n0,1.0\n1,2")
    assert logged(path, {"a": 5.0}) == "step,a\n0,1.0\n0,5.0\n"


def test_rows_that_found_no_room_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise atomic.WriteError("no room")

    path = tmp_path / "m.csv"
    logger = CsvLogger(path=str(path))
    logger.log_metrics({"a": 1.0}, 0)
    logger.save()
    logger.log_metrics({"a": 2.0}, 1)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "append", full)
        with pytest.raises(atomic.WriteError):
            logger.save()
    logger.finalize("success")
    assert path.read_text() == "step,a\n0,1.0\n1,2.0\n"
