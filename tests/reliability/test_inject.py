"""A few of the faults that ``inject.py`` injects by hand; the others have tests of their own.

Signals: ``tests/commands/test_stopping.py``. A full disk: ``tests/commands/test_resume.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the script looks for processes in /proc")
def test_a_run_killed_in_the_middle_of_a_save_loses_nothing() -> None:
    command = [sys.executable, str(ROOT / "tests/reliability/inject.py")]
    result = subprocess.run(
        [*command, "--num", "1", "--kinds", "saving"],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "saving: 1 of 1 lost nothing" in result.stdout
