"""A backbone and a head from a folder outside the package: train, export, load, equal outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sapiens_lab
from sapiens_lab.weights.files import read_weights
from tests.command import Commands

BACKBONE = '''
import torch
from torch import nn
from sapiens_lab.models.backbone import Backbone


class Convolutions(Backbone):
    """Strided convolutions; the stem and two blocks."""

    def __init__(self, image_size, *, width=16):
        super().__init__()
        self.image_size, self.embed_dim, self.stride = tuple(image_size), width, 16
        self.stem = nn.Conv2d(3, width, 8, stride=8)
        self.first = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.second = nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.block_names = ["first", "second"]

    def forward(self, image):
        features = self.first(self.stem(image))
        return features + self.second(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
'''
HEAD = '''
import torch.nn.functional as F
from torch import nn


class BilinearHead(nn.Module):
    """A plain module: it knows nothing of sapiens_lab."""

    def __init__(self, in_channels, *, out_channels, factor):
        super().__init__()
        self.project, self.factor = nn.Conv2d(in_channels, out_channels, 1), factor

    def forward(self, features):
        return F.interpolate(self.project(features), scale_factor=self.factor, mode="bilinear")
'''
IMAGE = torch.randint(0, 255, (2, 3, 64, 48), dtype=torch.uint8)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two modules, on the Python path."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "outside_backbone.py").write_text(BACKBONE)
    (folder / "outside_head.py").write_text(HEAD)
    options = {
        "backbone/convolutions": "_target_: outside_backbone.Convolutions\n"
        "image_size: ${image_size}\nwidth: 16\n",
        "experiment/outside": "# @package _global_\ndefaults:\n  - pose/synthetic\n"
        "  - override /backbone: convolutions\n",
    }
    for name, text in options.items():
        (folder / f"{name}.yaml").parent.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


HEAD_WORDS = (
    "~head.deconv_channels",
    "~head.conv_channels",
    "head._target_=outside_head.BilinearHead",
    "+head.factor=4",
)


@pytest.mark.parametrize("tune", ["full", "last_n", "lora"])
def test_a_backbone_and_a_head_from_outside(commands: Commands, outside: Path, tune: str) -> None:
    words = {
        "full": ("optimizer.layer_decay=0.5",),
        "last_n": ("tune=last_n", "tune.num_layers=1"),
        "lora": ("tune=lora", "tune.targets=['0']"),
    }[tune]
    commands.train(f"--config-dir={outside}", "experiment=outside", *HEAD_WORDS, *words)
    run = commands.runs("outside")[0]
    with pytest.raises(
        ValueError, match=r"outside_backbone\.Convolutions.*trust_import_paths=True"
    ):
        sapiens_lab.load_model(run / "export")
    model = sapiens_lab.load_model(run / "export", trust_import_paths=True)
    assert type(model.backbone).__name__ == "Convolutions"
    assert type(model.head).__name__ == "BilinearHead"
    best = sapiens_lab.load_model(run / "checkpoints/best.ckpt", trust_import_paths=True)
    with torch.no_grad():
        torch.testing.assert_close(best(IMAGE), model(IMAGE))
    state = read_weights(run / "checkpoints/best.ckpt").state
    torch.testing.assert_close(state["head.project.weight"], model.head.project.weight)  # type: ignore[union-attr]
    commands.evaluate(f"--config-dir={outside}", "experiment=outside")


def test_what_cannot_be_exported_is_refused_before_training(
    commands: Commands, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = BACKBONE.replace("(Backbone)", "(nn.Module)")
    (outside / "outside_plain.py").write_text(text)
    with pytest.raises(SystemExit):
        commands.train(
            f"--config-dir={outside}",
            "experiment=outside",
            "backbone._target_=outside_plain.Convolutions",
        )
    assert "cannot be written to a file" in capsys.readouterr().err
    assert not list(commands.cwd.glob("outputs/**/*.ckpt"))
