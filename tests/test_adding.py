"""docs/adding.md: what it shows works as it stands there."""

from __future__ import annotations

import re

import pytest
import torch

from sapiens_lab.weights.model import load_model
from tests.command import Commands, losses
from tests.conftest import ROOT

ADDING = (ROOT / "docs/adding.md").read_text()


def test_the_modality_of_the_page_trains_and_its_export_is_the_model(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```\w+\n# (\S+\.(?:py|yaml))\n(.*?)```", ADDING, re.DOTALL)
    for name, text in blocks:
        path = commands.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(commands.cwd)
    commands.train("--config-dir", "mine", "experiment=albedo", "trainer.max_epochs=3")
    [run] = commands.runs("albedo")
    history = losses(run)
    assert history[max(history)] < history[min(history)]
    image = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)
    exported, saved = load_model(run / "export").eval(), load_model(run / "checkpoints/best.ckpt")
    with torch.inference_mode():
        assert exported(image).shape[1] == 3
        torch.testing.assert_close(exported(image), saved.eval()(image))
