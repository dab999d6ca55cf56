"""Encoder and heads against outputs recorded from the official code, loaded from its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab.heatmaps import flip_heatmaps
from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.pos_embed import sincos_pos_embed
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import ViT
from sapiens_lab.weights.families.sapiens_v1 import to_official
from sapiens_lab.weights.files import read_weights
from sapiens_lab.weights.load import load_weights

PADDING = {"pose": 2, "normal": 2, "seg": 0, "depth": 0}  # sapiens_v1 reference, appendix B


def build(state: dict[str, Tensor], config: dict[str, Any], padding: int) -> Sapiens:
    """A model with the sizes that the tensors have."""
    widths = {
        kind: [
            state[name].shape[1 if kind == "deconvs" else 0]
            for name in sorted(state)
            if re.fullmatch(rf"head\.{kind}\.\d+\.weight", name)
        ]
        for kind in ("deconvs", "convs")
    }
    backbone = ViT(
        tuple(config["input_size"]),
        embed_dim=config["embed_dim"],
        num_layers=config["depth"],
        num_heads=config["num_heads"],
        patch_padding=padding,
    )
    return Sapiens(
        backbone,
        head=lambda dim: DeconvHead(
            dim,
            out_channels=state["head.out.weight"].shape[0],
            deconv_channels=widths["deconvs"],
            conv_channels=widths["convs"],
        ),
    ).eval()


@pytest.mark.parametrize("task", ["pose", "seg", "depth", "normal"])
@torch.no_grad()
def test_outputs_equal_the_official_ones(goldens: Path, config: dict[str, Any], task: str) -> None:
    model = build(read_weights(goldens / f"{task}.pth").state, config, PADDING[task])
    report = load_weights(model, goldens / f"{task}.pth", head="keep")
    assert not report.initialized
    assert not report.unused
    io = load_file(goldens / f"{task}_io.safetensors")
    output = model.head(model.backbone(io["image"]))
    expected = io["heatmaps" if task == "pose" else "output"]
    assert (output - expected).abs().max() < 1e-5
    if task == "pose":
        flipped = model.head(model.backbone(io["image"].flip(-1)))
        average = (output + flip_heatmaps(flipped, io["flip_indices"].numpy())) / 2
        assert (average - io["heatmaps_flip_tta"]).abs().max() < 1e-5


@pytest.mark.parametrize("file", ["mae_epoch_1600.pth", "mae_epoch_1600_clean.pth"])
@torch.no_grad()
def test_the_pretrained_encoder_equals_the_official_one(
    goldens: Path, config: dict[str, Any], file: str
) -> None:
    side = config["pretrain_size"]
    backbone = ViT(
        (side, side),
        embed_dim=config["embed_dim"],
        num_layers=config["depth"],
        num_heads=config["num_heads"],
        class_token=True,
    )
    model = Sapiens(
        backbone,
        head=lambda dim: DeconvHead(dim, out_channels=1, deconv_channels=[8], conv_channels=[]),
    ).eval()
    report = load_weights(model, goldens / file)
    assert all(name.startswith("head.") for name in report.initialized)
    io = load_file(goldens / "encoder_io.safetensors")
    for shape in ("square", "rect"):
        tokens = backbone.encode(backbone.embed(io[f"image_{shape}"]))
        assert (tokens - io[f"features_{shape}"]).abs().max() < 1e-5


def test_positions_are_resized_as_officially(goldens: Path, config: dict[str, Any]) -> None:
    model = build(read_weights(goldens / "pose.pth").state, config, PADDING["pose"])
    report = load_weights(model, goldens / "mae_epoch_1600_clean.pth")
    assert report.resized == ["backbone.pos_embed"]
    assert report.unused[0] == "backbone.cls_token"
    assert all(name.startswith("decoder.") for name in report.unused[1:])
    expected = load_file(goldens / "pose_io.safetensors")["pos_embed_resized"]
    assert (model.backbone.pos_embed - expected).abs().max() < 1e-6


def test_sincos_tables_equal_the_official_ones(goldens: Path, config: dict[str, Any]) -> None:
    io = load_file(goldens / "mae_io.safetensors")
    side = config["pretrain_size"] // config["patch_size"]
    for key in ("backbone.pos_embed", "neck.decoder_pos_embed"):
        ours = sincos_pos_embed(io[key].shape[-1], (side, side), class_token=True)
        assert (ours - io[key]).abs().max() < 1e-6


@pytest.mark.parametrize("task", ["pose", "seg", "depth", "normal"])
def test_names_translate_both_ways(goldens: Path, task: str) -> None:
    official = json.loads((goldens / f"{task}_keys.json").read_text())
    ours = read_weights(goldens / f"{task}.pth").state
    theirs = to_official(ours, pose=task == "pose")
    back = {key: list(value.shape) for key, value in theirs.items()}
    assert back == dict(official)
