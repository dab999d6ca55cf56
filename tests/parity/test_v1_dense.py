"""Losses and metrics of maps against numbers recorded from the official code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab.losses.depth import SiLogLoss
from sapiens_lab.losses.normal import NormalCosineLoss, NormalL1Loss
from sapiens_lab.losses.segmentation import WeightedCrossEntropy
from sapiens_lab.metrics.segmentation import MeanIoU


def recorded(goldens: Path, task: str) -> dict[str, Tensor]:
    return load_file(goldens / f"{task}_io.safetensors")


def upsample(io: dict[str, Tensor]) -> Tensor:
    """Bring the output to the target's size; the record says what that gives."""
    size = io["target"].shape[-2:]
    preds = F.interpolate(io["output"], size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(preds, io["upsampled"])
    return preds


def test_cross_entropy(goldens: Path) -> None:
    io = recorded(goldens, "seg")
    assert (io["target"] == 255).any()
    loss = WeightedCrossEntropy(class_weights=io["class_weight"].tolist())
    torch.testing.assert_close(loss(upsample(io), io["target"]), io["loss_ce"][0])


def test_silog(goldens: Path) -> None:
    io = recorded(goldens, "depth")
    target = io["target"][:, None]
    for valid in (target > 1e-6, torch.ones_like(target).bool()):
        torch.testing.assert_close(SiLogLoss()(upsample(io), target, valid), io["loss_silog"][0])


def test_normals(goldens: Path) -> None:
    io = recorded(goldens, "normal")
    target = io["target"][None]
    valid = target[:, :1] > -100
    assert not valid.all()
    preds = upsample(io)
    cosine = NormalCosineLoss()(preds, target, valid)
    torch.testing.assert_close(cosine, io["loss_cosine_sim"][0])
    torch.testing.assert_close(NormalL1Loss()(preds, target, valid), io["loss_l1"][0])


def test_mean_iou(metrics_folder: Path) -> None:
    official = json.loads((metrics_folder / "metrics.json").read_text())["segmentation"]
    maps = load_file(metrics_folder / "segmentation_maps.safetensors")
    classes = [f"class{i}" for i in range(len(official["IoU"]))]
    metric = MeanIoU(classes=classes)
    for preds, target in zip(maps["pred"], maps["target"], strict=True):
        metric.update(preds, target)
    ours = {name: float(value) for name, value in metric.compute().items()}
    for name in ("mIoU", "mAcc", "aAcc"):
        assert ours[name] == pytest.approx(official[name], abs=1e-6)
    table = metric.table()
    assert table is not None
    assert [row.IoU for row in table] == pytest.approx(official["IoU"], abs=1e-6)
    assert [row.accuracy for row in table] == pytest.approx(official["Acc"], abs=1e-6)
