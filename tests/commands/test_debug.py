"""``debug=fast|overfit|profile``."""

from __future__ import annotations

import pytest

from tests.command import Commands, losses


@pytest.mark.parametrize("mode", ["fast", "profile"])
def test_debug_modes(commands: Commands, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands.train(f"debug={mode}", "data.batch_size=2", "trainer.max_epochs=1")
    [run] = commands.runs()
    assert len(losses(run)) == (2 if mode == "fast" else 6)
    if mode == "profile":
        assert "run_training_batch" in capsys.readouterr().out + (run / "messages.log").read_text()
