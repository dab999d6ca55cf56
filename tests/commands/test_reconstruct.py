from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab.commands.reconstruct import RATIOS
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.vit import ViT
from sapiens_lab.weights.model import save_model
from tests.command import status
from tests.weights.test_load import made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 255, (300, 200, 3), dtype=np.uint8))
    return path


def test_an_image_at_five_ratios(tmp_path: Path, photo: Path) -> None:
    backbone = ViT((160, 96), embed_dim=16, num_layers=1, num_heads=2, class_token=True)
    model = MaskedAutoencoder(backbone, decoder_dim=8, decoder_layers=1, decoder_heads=2)
    save_model(model, tmp_path / "export", task={"name": "pretrain"})
    out = tmp_path / "figures" / "a.png"
    assert status("reconstruct", str(tmp_path / "export"), str(photo), "--out", str(out)) == 0
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (20 + 5 * 164 + 4, 4 * 100 + 4, 3)
    hidden = []
    for i in range(len(RATIOS)):
        shown = sheet[24 + 164 * i : 24 + 164 * i + 160, 104:200]
        patches = shown.reshape(10, 16, 6, 16, 3).std((1, 3, 4))
        hidden.append(float((patches < 20).mean()))  # one color, not noise
    np.testing.assert_allclose(hidden, [1 - int(60 * (1 - r)) / 60 for r in RATIOS])


def test_what_cannot_reconstruct_is_told_so(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(made(), tmp_path / "pose", task={"name": "pose"})
    assert status("reconstruct", str(tmp_path / "pose"), str(photo)) == 1
    assert "cannot reconstruct" in capsys.readouterr().err
