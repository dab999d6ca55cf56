"""docs/adding.md: what it shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from sapiens_lab.weights.model import load_model
from tests.command import Commands, losses
from tests.conftest import ROOT

ADDING = (ROOT / "docs/adding.md").read_text()
IMAGE = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)


@pytest.fixture
def page(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the page shows, in the folder where commands run."""
    for name, text in re.findall(r"```\w+\n# (\S+\.(?:py|yaml))\n(.*?)```", ADDING, re.DOTALL):
        path = commands.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(commands.cwd)
    return commands.cwd


def test_the_modality_of_the_page_trains_and_its_export_is_the_model(
    commands: Commands, page: Path
) -> None:
    commands.train("--config-dir", "mine", "experiment=albedo", "trainer.max_epochs=3")
    [run] = commands.runs("albedo")
    history = losses(run)
    assert history[max(history)] < history[min(history)]
    exported, saved = load_model(run / "export").eval(), load_model(run / "checkpoints/best.ckpt")
    with torch.inference_mode():
        assert exported(IMAGE).shape[1] == 3
        torch.testing.assert_close(exported(IMAGE), saved.eval()(IMAGE))


@pytest.mark.parametrize(
    "words",
    [
        ("optimizer.layer_decay=0.5",),
        ("tune=last_n", "tune.num_layers=1"),
        ("tune=lora", "tune.targets=['0']"),
    ],
)
def test_the_backbone_and_the_head_of_the_page(
    commands: Commands, page: Path, words: tuple[str, ...]
) -> None:
    command = re.search(r"`python train\.py (.*convolutions.*)` trains both", ADDING)
    assert command is not None
    commands.train(*command[1].split(), *words)
    [run] = commands.runs()
    with pytest.raises(ValueError, match=r"convolutions\.Convolutions.*trust_import_paths=True"):
        load_model(run / "export")
    model = load_model(run / "export", trust_import_paths=True)
    assert type(model.backbone).__name__ == "Convolutions"
    assert type(model.head).__name__ == "BilinearHead"
    saved = load_model(run / "checkpoints/best.ckpt", trust_import_paths=True)
    with torch.inference_mode():
        torch.testing.assert_close(saved(IMAGE), model(IMAGE))
    commands.evaluate("--config-dir", "mine")


def test_what_cannot_be_exported_is_refused_before_training(
    commands: Commands, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (page / "convolutions.py").read_text().replace("(Backbone)", "(nn.Module)")
    (page / "plain.py").write_text(text)
    with pytest.raises(SystemExit):
        commands.train(
            "--config-dir=mine", "backbone=convolutions", "backbone._target_=plain.Convolutions"
        )
    assert "cannot be written to a file" in capsys.readouterr().err
    assert not list(commands.cwd.glob("outputs/**/*.ckpt"))
