"""Codec and losses against numbers recorded from the official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.heatmaps import HeatmapCodec, flip_heatmaps
from sapiens_lab.losses.pose import HeatmapMSELoss, HeatmapOHKMLoss

# 308 keypoints at full size with sigma 6; the small heatmaps have sigma 2.
FULL = HeatmapCodec((1024, 768), heatmap_size=(256, 192), sigma=6)


@pytest.fixture(scope="module")
def small(goldens: Path) -> dict[str, Tensor]:
    return load_file(goldens / "pose_io.safetensors")


@pytest.fixture(scope="module")
def codec(config: dict[str, Any]) -> HeatmapCodec:
    """The codec of ``small``: heatmaps a quarter of the input's size."""
    height, width = config["input_size"]
    size = (height // 4, width // 4)
    return HeatmapCodec((height, width), heatmap_size=size, sigma=config["heatmap_sigma"])


def assert_decodes(codec: HeatmapCodec, heatmap: Tensor, xy: Tensor, score: Tensor) -> None:
    """Compare within 0.01 px.

    The official intermediate coordinates are multiplied by the input's size where ours are by size
    minus 1; its next step divides by the size again. It has NaN for maps without a peak.
    """
    ours, our_score = codec.decode(heatmap)
    H, W = codec.input_size
    ours = ours * torch.tensor([W / (W - 1), H / (H - 1)])
    peaked = score > 0
    assert peaked.any()
    torch.testing.assert_close(ours[peaked], xy[peaked], atol=1e-2, rtol=0)
    torch.testing.assert_close(our_score, score, atol=1e-5, rtol=0)
    assert torch.isfinite(ours).all()


def test_encode(small: dict[str, Tensor], codec: HeatmapCodec) -> None:
    heatmap, weight = codec.encode(small["keypoints"], small["visible"])
    torch.testing.assert_close(heatmap[0], small["target_heatmaps"], atol=1e-5, rtol=0)
    assert torch.equal(weight, small["target_weights"])


def test_encode_308(codec_308: dict[str, Tensor]) -> None:
    heatmap, weight = FULL.encode(codec_308["keypoints"], codec_308["visible"])
    picked = heatmap[0, codec_308["pick"]]
    torch.testing.assert_close(picked, codec_308["heatmaps_pick"], atol=1e-5, rtol=0)
    sums = heatmap[0].sum((-2, -1))
    torch.testing.assert_close(sums, codec_308["heatmap_sums"], atol=1e-3, rtol=1e-5)
    assert torch.equal(weight, codec_308["weights"])


def test_decode(small: dict[str, Tensor], codec: HeatmapCodec) -> None:
    target, score = small["decoded_target"], small["decoded_target_scores"]
    assert_decodes(codec, small["target_heatmaps"][None], target, score)
    assert_decodes(codec, small["heatmaps"], small["decoded_pred"], small["decoded_pred_scores"])


def test_decode_308(codec_308: dict[str, Tensor]) -> None:
    heatmap, _ = FULL.encode(codec_308["keypoints"], codec_308["visible"])
    assert_decodes(FULL, heatmap, codec_308["decoded"], codec_308["scores"])
    assert_decodes(
        FULL, codec_308["noisy_pick"][None], codec_308["noisy_decoded"], codec_308["noisy_scores"]
    )


def test_source_coordinates_equal_the_official_ones(
    small: dict[str, Tensor], codec: HeatmapCodec
) -> None:
    """Input pixels through the inverse crop matrix end where the official rule ends."""
    input_height, input_width = codec.input_size
    x1, y1, width, height = 37.0, -12.5, 150.0, 200.0  # of the input's aspect
    assert width / height == input_width / input_height
    size = torch.tensor([input_width, input_height])
    official = small["decoded_pred"] / size * torch.tensor([width, height])
    official = official + torch.tensor([x1, y1])
    box = torch.tensor([x1, y1, x1 + width, y1 + height]).numpy()
    xy, _ = codec.decode(small["heatmaps"])
    ours = geometry.apply(geometry.invert(geometry.crop(box, codec.input_size)), xy.numpy())
    torch.testing.assert_close(torch.from_numpy(ours).float(), official, atol=1e-2, rtol=0)


def test_losses(small: dict[str, Tensor]) -> None:
    inputs = small["heatmaps"], small["target_heatmaps"][None], small["target_weights"]
    torch.testing.assert_close(HeatmapMSELoss()(*inputs), small["loss_mse"][0])
    topk = int(small["ohkm_topk"][0])
    torch.testing.assert_close(HeatmapOHKMLoss(topk)(*inputs), small["loss_ohkm"][0])


def test_flip_order_is_a_flip(small: dict[str, Tensor]) -> None:
    index = small["flip_indices"].numpy()
    twice = flip_heatmaps(flip_heatmaps(small["heatmaps"], index), index)
    assert torch.equal(twice, small["heatmaps"])
