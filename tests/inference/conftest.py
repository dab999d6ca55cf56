"""A model for several tasks, tiny and random, and images to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.models.heads import DeconvHead, MultiHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import ViT
from sapiens_lab.weights.model import save_model

SIZE = (64, 48)
COCO, GOLIATH = Skeleton.load("coco17"), Parts.load("goliath28")
CHANNELS = {"pose": 17, "segmentation": 28, "depth": 1, "normal": 3}
MEANINGS = {
    "pose": {"meaning": {"skeleton": list(COCO.keypoints)}, "skeleton": "coco17"},
    "segmentation": {"meaning": {"parts": list(GOLIATH.classes)}, "parts": "goliath28"},
    "depth": {"meaning": {"depth": "relative"}},
    "normal": {"meaning": {}},
}


def export(folder: Path, *tasks: str, crop: str = "whole") -> Path:
    """Write random weights for some tasks as a run exports them."""
    torch.manual_seed(0)
    backbone = ViT(SIZE, embed_dim=16, num_layers=1, num_heads=2)
    heads = {
        task: lambda dim, task=task: DeconvHead(
            dim, out_channels=CHANNELS[task], deconv_channels=[8], conv_channels=[8]
        )
        for task in tasks
    }
    several = len(tasks) > 1
    head = (lambda dim: MultiHead(dim, heads=heads)) if several else heads[tasks[0]]
    model = Sapiens(backbone, head=head)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    described = {task: {"name": task, **MEANINGS[task]} for task in tasks}
    task = described[tasks[0]]
    if len(tasks) > 1:
        task = {"name": "multitask", "meaning": {}, "tasks": described}
    rule = {"crop": crop, "replicate_edge": crop == "whole"}
    return save_model(model, folder, task=task, input=rule)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports: one that looks at people, one for parts, one for all tasks."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        "pose": export(folder / "pose", "pose", crop="box"),
        "segmentation": export(folder / "segmentation", "segmentation"),
        "all": export(folder / "all", *CHANNELS),
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four images of different sizes, in two folders, two of them of one name."""
    folder = tmp_path / "photos"
    for i, name in enumerate(("a.jpg", "b.png", "day/a.jpg", "day/c.jpg")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (40 + 9 * i, 50 - 6 * i, 3))
        cv2.imwrite(str(folder / name), pixels.astype(np.uint8))
    return folder
