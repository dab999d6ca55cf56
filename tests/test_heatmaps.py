from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sapiens_lab.heatmaps import HeatmapCodec, flip_heatmaps

CODEC = HeatmapCodec((128, 96), (32, 24), 2.0)


def test_a_gaussian_stands_at_the_point() -> None:
    stride_x, stride_y = 95 / 23, 127 / 31
    xy = torch.tensor([[[10 * stride_x, 20 * stride_y]]])  # exactly on heatmap pixel (10, 20)
    heatmap, weight = CODEC.encode(xy, torch.ones(1, 1))
    assert heatmap.shape == (1, 1, 32, 24)
    assert weight.item() == 1
    assert heatmap[0, 0, 20, 10].item() == pytest.approx(1)
    assert heatmap[0, 0, 20, 11].item() == pytest.approx(math.exp(-1 / 8), abs=1e-6)
    assert heatmap[0, 0, 20, 17].item() == 0  # beyond three sigma


def test_decoding_undoes_encoding() -> None:
    xy = torch.rand(2, 17, 2) * torch.tensor([60.0, 90.0]) + 16
    heatmap, _ = CODEC.encode(xy, torch.ones(2, 17))
    decoded, score = CODEC.decode(heatmap)
    assert (decoded - xy).abs().max() < 0.02
    assert (score > 0.8).all()


def test_unlabelled_and_far_points_count_nothing() -> None:
    xy = torch.tensor([[[50.0, 50.0], [-400.0, 50.0], [50.0, 400.0]]])
    heatmap, weight = CODEC.encode(xy, torch.tensor([[0, 2, 1]]))
    assert weight.tolist() == [[0, 0, 0]]
    assert (heatmap == 0).all()


def test_an_empty_map_decodes_to_a_finite_point() -> None:
    xy, score = CODEC.decode(torch.zeros(1, 2, 32, 24))
    assert torch.isfinite(xy).all()
    assert (score == 0).all()
    xy, _ = CODEC.decode(torch.full((1, 1, 32, 24), 0.5))
    assert torch.isfinite(xy).all()


def test_flipping_twice_changes_nothing() -> None:
    heatmap = torch.rand(2, 3, 8, 6)
    mirror_index = torch.tensor([0, 2, 1])
    once = flip_heatmaps(heatmap, mirror_index)
    assert (once[:, 1] == heatmap[:, 2].flip(-1)).all()
    assert (flip_heatmaps(once, mirror_index) == heatmap).all()


def test_half_precision_maps_are_decoded_in_float32() -> None:
    heatmap, _ = CODEC.encode(torch.tensor([[[40.0, 60.0]]]), torch.ones(1, 1))
    xy, score = CODEC.decode(heatmap.bfloat16())
    assert xy.dtype == score.dtype == torch.float32
    assert (xy - torch.tensor([40.0, 60.0])).abs().max() < 1


def _official(xy: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The official code scales by the size where it encodes by the gaps (a factor 768/767)."""
    height, width = size
    return xy * torch.tensor([width / (width - 1), height / (height - 1)])


def test_equals_the_official_codec(shared: Path) -> None:
    io = load_file(shared / "goldens" / "v1" / "pose_io.safetensors")
    heatmap, weight = CODEC.encode(io["keypoints"], io["visible"])
    assert (heatmap[0] - io["target_heatmaps"]).abs().max() < 1e-5
    assert (weight - io["target_weights"]).abs().max() == 0
    seen = weight > 0
    for maps, name in ((heatmap, "decoded_target"), (io["heatmaps"], "decoded_pred")):
        xy, score = CODEC.decode(maps)
        assert (_official(xy, (128, 96)) - io[name]).abs()[seen].max() < 1e-2
        assert (score - io[f"{name}_scores"]).abs().max() < 1e-5


def test_equals_the_official_codec_at_full_size(shared: Path) -> None:
    io = load_file(shared / "goldens" / "pose_and_metrics" / "udp_codec_308.safetensors")
    codec = HeatmapCodec((1024, 768), (256, 192), 6.0)
    heatmap, weight = codec.encode(io["keypoints"], io["visible"])
    assert (weight - io["weights"]).abs().max() == 0
    assert (heatmap[0, io["pick"]] - io["heatmaps_pick"]).abs().max() < 1e-5
    assert (heatmap[0].sum((1, 2)) / io["heatmap_sums"].clamp_min(1) - 1).abs()[
        weight[0] > 0
    ].max() < 1e-5
    xy, score = codec.decode(heatmap)
    assert (_official(xy, (1024, 768)) - io["decoded"]).abs()[weight > 0].max() < 1e-2
    assert (score - io["scores"]).abs().max() < 1e-5
    xy, score = codec.decode(io["noisy_pick"][None])
    assert (_official(xy, (1024, 768)) - io["noisy_decoded"]).abs().max() < 1e-2
    assert (score - io["noisy_scores"]).abs().max() < 1e-5
