"""A whole model refuses images far larger than those of its training, and warns of far smaller."""

from __future__ import annotations

import logging

import pytest
import torch

from sapiens_lab.models import sapiens
from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import ViT


@pytest.fixture
def model() -> Sapiens:
    sapiens._warn_of_small.cache_clear()
    backbone = ViT((64, 64), embed_dim=8, num_layers=1, num_heads=2)
    return Sapiens(
        backbone,
        head=lambda d: DeconvHead(d, out_channels=3, deconv_channels=[4], conv_channels=[]),
    )


@torch.no_grad()
def test_images_of_other_sizes(model: Sapiens, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for height, width in ((64, 64), (128, 128), (32, 32)):
        model(torch.zeros(1, 3, height, width))
    assert caplog.messages == []
    for _ in range(2):
        model(torch.zeros(1, 3, 32, 16))
    [message] = caplog.messages
    assert message.startswith("images of 32x16 pixels are far smaller than the 64x64 of this model")
    with pytest.raises(ValueError, match="images of 128x144 pixels are far larger than the 64x64"):
        model(torch.zeros(1, 3, 128, 144))
