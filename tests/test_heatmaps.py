from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sapiens_lab.heatmaps import HeatmapCodec, flip_heatmaps


@pytest.fixture
def codec() -> HeatmapCodec:
    return HeatmapCodec((64, 48), heatmap_size=(16, 12), sigma=1.5)


def visible(*shape: int) -> Tensor:
    return torch.full(shape, 2, dtype=torch.uint8)


def test_gaussian_by_hand() -> None:
    codec = HeatmapCodec((9, 17), heatmap_size=(5, 9), sigma=1.0)
    heatmap, weight = codec.encode(torch.tensor([[[7.0, 4.0]]]), visible(1, 1))
    # (7, 4) input pixels are (3.5, 2) heatmap pixels.
    assert heatmap[0, 0, 2, 3].item() == pytest.approx(math.exp(-0.125))
    assert heatmap[0, 0, 2, 4].item() == pytest.approx(math.exp(-0.125))
    assert heatmap[0, 0, 4, 6].item() == pytest.approx(math.exp(-(2.5**2 + 2**2) / 2))
    # The window reaches 3 pixels either way from the anchor int(3.5 + 0.5) = 4.
    assert heatmap[0, 0, 2, 0] == 0
    assert heatmap[0, 0, 2, 1].item() == pytest.approx(math.exp(-3.125))
    assert heatmap[0, 0, 2, 8] == 0
    assert weight.tolist() == [[1.0]]


def test_window_larger_than_the_map() -> None:
    codec = HeatmapCodec((8, 8), heatmap_size=(8, 8), sigma=6)
    heatmap, _ = codec.encode(torch.tensor([[[2.0, 5.0]]]), visible(1, 1))
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    expected = torch.exp(-((x - 2) ** 2 + (y - 5) ** 2) / 72)
    torch.testing.assert_close(heatmap[0, 0], expected)


def test_only_labeled_points_inside_the_reach_are_drawn(codec: HeatmapCodec) -> None:
    xy = torch.tensor([[[20.0, 30.0], [20.0, 30.0], [-300.0, 5.0], [5.0, 400.0], [-9.0, 30.0]]])
    xy[0, 1] = torch.nan  # not labeled: may hold anything
    heatmap, weight = codec.encode(xy, torch.tensor([[2, 0, 2, 1, 1]]))
    assert weight.tolist() == [[1, 0, 0, 0, 1]]
    assert (heatmap.amax((-2, -1)) > 0).tolist() == [[True, False, False, False, True]]
    assert torch.isfinite(heatmap).all()


def test_round_trip_is_sub_pixel_exact() -> None:
    codec = HeatmapCodec((256, 192), heatmap_size=(64, 48), sigma=2)
    generator = torch.Generator().manual_seed(0)
    xy = 40 + torch.rand(3, 50, 2, generator=generator) * torch.tensor([111.0, 175.0])
    heatmap, _ = codec.encode(xy, visible(3, 50))
    decoded, score = codec.decode(heatmap)
    torch.testing.assert_close(decoded, xy, atol=2e-3, rtol=0)
    assert (score > 0.8).all()


def test_outer_pixel_centers_coincide(codec: HeatmapCodec) -> None:
    heatmap = torch.zeros(1, 2, 16, 12)
    heatmap[0, 0, 8, 5] = 0.5  # a lone pixel is symmetric: nothing to refine
    heatmap[0, 1] = 3.0
    heatmap[0, 1, 15, 11] = -5.0  # a flat top: the first of the largest pixels
    xy, score = codec.decode(heatmap)
    torch.testing.assert_close(xy[0, 0], torch.tensor([5 * 47 / 11, 8 * 63 / 15]))
    assert score.tolist() == [[0.5, 3.0]]
    drawn, _ = codec.encode(torch.tensor([[[47.0, 63.0], [0.0, 0.0]]]), visible(1, 2))
    assert drawn[0, 0, 15, 11].item() == pytest.approx(1)
    assert drawn[0, 1, 0, 0].item() == pytest.approx(1)


def test_maps_without_a_peak_decode_to_a_finite_place(codec: HeatmapCodec) -> None:
    heatmap = torch.zeros(2, 3, 16, 12)
    heatmap[0, 1] = 7.0
    heatmap[0, 2] = -1.0
    heatmap[1, 0] = 100 * torch.randn(16, 12, generator=torch.Generator().manual_seed(0))
    xy, score = codec.decode(heatmap)
    assert torch.isfinite(xy).all()
    assert score[0].tolist() == [0, 7, -1]
    assert xy[0, 0].tolist() == [0, 0]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 200.0])
def test_the_neighborhood_equals_that_of_whole_blurred_maps(scale: float) -> None:
    """The short way of decoding must not differ where the logarithm's range cuts."""
    codec = HeatmapCodec((64, 48), heatmap_size=(16, 12), sigma=1.5)
    heatmap = scale * torch.randn(4, 6, 16, 12, generator=torch.Generator().manual_seed(1))
    score, index = heatmap.flatten(2).max(-1)
    x, y = index % 12, index // 12
    near = codec._neighborhood(heatmap, score, torch.stack([x, y], -1)).clamp(1e-3, 50)
    kernel = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 8)
    kernel = (kernel / kernel.sum()).double()
    whole = torch.nn.functional.conv2d(
        heatmap.double().flatten(0, 1)[:, None], torch.outer(kernel, kernel)[None, None], padding=5
    )
    whole = whole * (score.flatten() / whole.amax((1, 2, 3)))[:, None, None, None]
    whole = torch.nn.functional.pad(whole.clamp(1e-3, 50), (1, 1, 1, 1), mode="replicate")[:, 0]
    for i, (px, py) in enumerate(zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)):
        there = whole[i, py : py + 3, px : px + 3]
        here = near.flatten(0, 1)[i]
        # Where nothing is cut the scale is left out: it is lost in the logarithm's derivatives.
        torch.testing.assert_close(here / here[1, 1], there / there[1, 1], atol=1e-6, rtol=1e-5)


def test_autocast_and_half_types_decode_in_float32(codec: HeatmapCodec) -> None:
    heatmap, _ = codec.encode(torch.tensor([[[21.3, 30.1]]]), visible(1, 1))
    plain, _ = codec.decode(heatmap)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, score = codec.decode(heatmap)
        encoded, _ = codec.encode(torch.tensor([[[21.3, 30.1]]]), visible(1, 1))
    assert inside.dtype == score.dtype == encoded.dtype == torch.float32
    torch.testing.assert_close(inside, plain)
    torch.testing.assert_close(encoded, heatmap)
    rounded, _ = codec.decode(heatmap.bfloat16().requires_grad_())
    torch.testing.assert_close(rounded, plain, atol=0.2, rtol=0)


def test_flip_gives_back_the_heatmaps_of_the_unflipped_image(codec: HeatmapCodec) -> None:
    xy = torch.tensor([[[10.0, 20.0], [30.0, 25.0], [22.0, 40.0]]])
    flipped = torch.stack([47 - xy[..., 0], xy[..., 1]], -1)[:, [1, 0, 2]]
    heatmap, _ = codec.encode(xy, visible(1, 3))
    other, _ = codec.encode(flipped, visible(1, 3))
    torch.testing.assert_close(flip_heatmaps(other, [1, 0, 2]), heatmap, atol=1e-5, rtol=0)


def test_wrong_settings_are_named(codec: HeatmapCodec) -> None:
    with pytest.raises(ValueError, match="odd"):
        HeatmapCodec((64, 48), heatmap_size=(16, 12), sigma=2, blur_kernel_size=4)
    with pytest.raises(ValueError, match="sigma"):
        HeatmapCodec((64, 48), heatmap_size=(16, 12), sigma=0)
    with pytest.raises(ValueError, match="2 pixels"):
        HeatmapCodec((64, 48), heatmap_size=(16, 1), sigma=1)
    with pytest.raises(ValueError, match=r"\(12, 16\)"):
        codec.decode(torch.zeros(1, 1, 12, 16))
