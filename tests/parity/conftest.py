"""Recordings of the official code, from this folder and, where they are, from the full set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.parity import generated

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture(scope="session", params=["recorded", "full"])
def source(request: pytest.FixtureRequest) -> str:
    """Run a test on the recordings of this folder and again on the full set (see ``shared``)."""
    if request.param == "full":
        request.getfixturevalue("shared")  # or skip
    return str(request.param)


@pytest.fixture(scope="session")
def goldens(
    source: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of checkpoints in the official layout, with inputs and outputs of each model."""
    if source == "full":
        shared: Path = request.getfixturevalue("shared")
        return shared / "goldens/v1"
    folder = tmp_path_factory.mktemp("recordings")
    shutil.copytree(RECORDINGS, folder, dirs_exist_ok=True)
    _write_checkpoints(folder)
    config = json.loads((folder / "config.json").read_text())
    for file, shapes in config["generated"].items():
        path = folder / f"{file}.safetensors"
        inputs = {name: generated.normal(f"{file}.{name}", s) for name, s in shapes.items()}
        save_file(load_file(path) | inputs, path)
    return folder


@pytest.fixture(scope="session")
def config(goldens: Path) -> dict[str, Any]:
    """Sizes of the recorded models."""
    content: dict[str, Any] = json.loads((goldens / "config.json").read_text())
    return content


@pytest.fixture(scope="session")
def codec_308(source: str, request: pytest.FixtureRequest) -> dict[str, Tensor]:
    """308 keypoints at full size, their heatmaps, and decodings of noisy heatmaps."""
    if source == "full":
        shared: Path = request.getfixturevalue("shared")
        return load_file(shared / "goldens/pose_and_metrics/udp_codec_308.safetensors")
    with np.load(RECORDINGS / "codec_308.npz") as arrays:
        content = {name: torch.from_numpy(arrays[name]) for name in arrays}
    heatmaps = content["heatmaps_pick"]
    noise = generated.normal("codec.noise", heatmaps.shape)
    return content | {"noisy_pick": heatmaps + 0.05 * noise}


@pytest.fixture(scope="session")
def metrics_folder(source: str, request: pytest.FixtureRequest) -> Path:
    """Folder of maps and crops with what the official metrics and transforms give."""
    if source == "recorded":
        return RECORDINGS
    shared: Path = request.getfixturevalue("shared")
    return shared / "goldens/pose_and_metrics"


def _write_checkpoints(folder: Path) -> None:
    """Write official checkpoints with generated weights."""
    for task in ("pose", "seg", "depth", "normal"):
        shapes = json.loads((folder / f"{task}_keys.json").read_text())
        content = {"meta": {"epoch": 1}, "state_dict": generated.state_dict(shapes)}
        torch.save(content, folder / f"{task}.pth")
    shapes = json.loads((folder / "mae_keys.json").read_text())
    content = {"meta": {"epoch": 1600}, "state_dict": generated.state_dict(shapes)}
    torch.save(content, folder / "mae_epoch_1600_clean.pth")
    torch.save(content | {"message_hub": {}}, folder / "mae_epoch_1600.pth")
