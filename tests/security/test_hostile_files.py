"""No file can run code, touch another file, take a gigabyte or ten seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sapiens_lab.weights.reading import read_content
from tests.security import hostile_data
from tests.security.hostile_weights import cases, records
from tests.security.pickles import tensor, whole
from tests.security.zips import write_zip

ROOT = Path(__file__).parents[2]
MAX_BYTES, MAX_SECONDS = 1 << 30, 10.0


CASES = {**{f"{k}.pth": v for k, v in cases().items()}, **hostile_data.cases()}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Read every file in a process of its own; check that nothing has appeared beside them."""
    folder, trace = (tmp_path_factory.mktemp(name) for name in ("files", "trace"))
    for name, case in CASES.items():
        case.write(folder / name, trace)
    before = sorted(folder.iterdir())
    process = subprocess.run(
        [sys.executable, "-m", "tests.security.worker", str(folder)],
        input="\n".join(CASES),
        cwd=trace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(trace)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(found) == len(CASES), f"died at {[*CASES][len(found)]}: {process.stderr[-2000:]}"
    assert not list(trace.iterdir()), "something was done"
    assert sorted(folder.iterdir()) == before
    return {result["name"]: result for result in found}


@pytest.mark.parametrize("name", list(CASES))
def test_a_hostile_file_does_nothing(name: str, results: dict[str, dict[str, Any]]) -> None:
    result = results[name]
    assert result["bytes"] < MAX_BYTES
    assert result["seconds"] < MAX_SECONDS
    outcome = result["outcome"]
    if CASES[name].is_refused:
        assert outcome.startswith("refused: ")
    if outcome.startswith("refused: "):
        assert name in outcome
        assert "weights_only" not in outcome


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 200


def test_the_traps_would_close(tmp_path: Path) -> None:
    """With torch.load, some of these files do what they say."""
    trace = tmp_path / "trace"
    trace.mkdir()
    for name in ("os_system", "posix_mkdir", "old_pickle"):
        path = tmp_path / f"{name}.pth"
        cases()[name].write(path, trace)
        torch.load(path, weights_only=False)
        assert (trace / path.name).exists()


def test_the_same_layout_without_a_fault_is_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "good.pth", records(whole(tensor([2, 2], [2, 1]))))
    found = read_content(tmp_path / "good.pth")["state_dict"]["a"]
    assert found.tolist() == [[1.0, 2.0], [3.0, 4.0]]
