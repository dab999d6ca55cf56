from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.pos_embed import resize_pos_embed, sincos_pos_embed
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.timm_encoder import TimmEncoder
from sapiens_lab.models.vit import ViT, vit


def small(**options: object) -> ViT:
    torch.manual_seed(0)
    return ViT((64, 48), embed_dim=16, num_layers=3, num_heads=2, **options)  # type: ignore[arg-type]


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "pretraining", "fine_tuning"),  # sapiens_v1 reference, section 1.1
    [
        ("sapiens_0.3b", 307_295_232, 306_244_608),
        ("sapiens_0.6b", 635_910_400, 634_597_120),
        ("sapiens_1b", 1_140_739_584, 1_139_163_648),
        ("sapiens_2b", 2_133_912_960, 2_131_943_040),
    ],
)
def test_official_sizes_have_the_official_parameters(
    size: str, pretraining: int, fine_tuning: int
) -> None:
    with torch.device("meta"):
        assert count(vit(size, image_size=(1024, 1024), class_token=True)) == pretraining  # type: ignore[arg-type]
        assert count(vit(size, image_size=(1024, 768))) == fine_tuning  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("out_channels", "deconvs", "convs", "millions"),
    [
        (17, [768] * 2, [768] * 2, 23.21),
        (133, [768] * 2, [768] * 2, 23.30),
        (308, [768] * 2, [768] * 2, 23.44),
        (28, [768] * 3, [768] * 3, 33.25),
        (3, [768] * 3, [768] * 3, 33.23),
        (1, [384] * 4, [384] * 2, 13.67),
    ],
)
def test_official_heads_have_the_official_parameters(
    out_channels: int, deconvs: list[int], convs: list[int], millions: float
) -> None:
    with torch.device("meta"):
        head = DeconvHead(
            1024, out_channels=out_channels, deconv_channels=deconvs, conv_channels=convs
        )
    assert count(head) / 1e6 == pytest.approx(millions, abs=0.006)


def test_features_lie_on_the_grid_of_patches() -> None:
    model = small()
    assert model(torch.zeros(2, 3, 64, 48)).shape == (2, 16, 4, 3)
    assert model(torch.zeros(1, 3, 32, 96)).shape == (1, 16, 2, 6)
    with pytest.raises(ValueError, match="multiples"):
        model(torch.zeros(1, 3, 60, 48))


def test_a_class_token_stands_before_the_patches() -> None:
    model = small(class_token=True)
    assert model.encode(model.embed(torch.zeros(1, 3, 64, 48))).shape == (1, 13, 16)
    assert model(torch.zeros(1, 3, 64, 48)).shape == (1, 16, 4, 3)


def test_padding_shifts_the_patches() -> None:
    image = torch.rand(1, 3, 64, 48)
    padded, plain = small(patch_padding=2), small()
    shifted = F.pad(image, (2, 0, 2, 0))[..., :64, :48]  # the last two rows and columns are lost
    torch.testing.assert_close(padded(image), plain(shifted))


def test_checkpointing_changes_memory_not_gradients() -> None:
    image = torch.rand(1, 3, 64, 48)
    gradients = []
    for activation_checkpointing in (False, True):
        model = small(activation_checkpointing=activation_checkpointing)
        model(image).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    torch.testing.assert_close(*gradients)


def test_checkpointing_works_above_frozen_embeddings() -> None:
    model = small(activation_checkpointing=True)
    for parameter in (model.pos_embed, *model.patch_embed.parameters()):
        parameter.requires_grad_(False)
    model(torch.rand(1, 3, 64, 48)).mean().backward()
    assert model.layers[0].attn.qkv.weight.grad is not None


def test_intermediate_features_end_in_the_output() -> None:
    model = small()
    image = torch.rand(1, 3, 64, 48)
    first, last = model.features(image, layers=[0, -1])
    assert first.shape == last.shape == (1, 16, 4, 3)
    normed = model.norm(last.flatten(2).transpose(1, 2)).transpose(1, 2).view_as(last)
    torch.testing.assert_close(normed, model(image))


def test_drop_path_acts_in_training_only() -> None:
    model = small(drop_path=0.9)
    image = torch.rand(8, 3, 64, 48)
    assert not torch.equal(model(image), model(image))
    model.eval()
    torch.testing.assert_close(model(image), model(image))


def test_the_sincos_table_has_rows_first() -> None:
    table = sincos_pos_embed(16, (4, 3), class_token=True)
    assert table.shape == (1, 13, 16)
    assert (table[0, 0] == 0).all()
    grid = table[0, 1:].view(4, 3, 16)
    assert (grid[:, 0, :8] == grid[:, 2, :8]).all()  # the first half knows the row only
    assert (grid[0, :, 8:] == grid[3, :, 8:]).all()  # the second the column only
    assert grid[1, 0, 0].item() == pytest.approx(torch.sin(torch.tensor(1.0)).item())


def test_resizing_positions_keeps_the_prefix() -> None:
    table = torch.rand(1, 1 + 16, 8)
    resized = resize_pos_embed(table, (4, 4), (6, 5), num_prefix_tokens=1)
    assert resized.shape == (1, 31, 8)
    assert (resized[:, 0] == table[:, 0]).all()
    assert resize_pos_embed(table, (4, 4), (4, 4), num_prefix_tokens=1) is table


def test_a_head_doubles_with_every_deconvolution() -> None:
    head = DeconvHead(16, out_channels=5, deconv_channels=[8, 8], conv_channels=[8], dropout=0.1)
    assert head(torch.rand(2, 16, 4, 3)).shape == (2, 5, 16, 12)
    assert head.upsampling == 4


def test_a_head_starts_as_officially() -> None:
    """sapiens_v1 reference, section 3.2: normal 0.001 in pose, else torch's but the last layer."""
    torch.manual_seed(0)
    options = {"out_channels": 64, "deconv_channels": [128], "conv_channels": [128]}
    pose = DeconvHead(128, **options)  # type: ignore[arg-type]
    dense = DeconvHead(128, **options, weight_std=None, out_std=0.01)  # type: ignore[arg-type]
    for module in (*pose.deconvs, *pose.convs, pose.out):
        assert module.weight.std().item() == pytest.approx(0.001, rel=0.05)  # type: ignore[union-attr,operator]
    assert dense.out.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert (dense.out.bias == 0).all()  # type: ignore[union-attr]
    bound = 1 / 128**0.5  # of torch's uniform initialization of a 1x1 convolution
    assert dense.convs[0].weight.abs().max().item() == pytest.approx(bound, rel=0.01)  # type: ignore[union-attr,operator]


def test_the_model_normalizes_gray_levels_of_any_type() -> None:
    head = lambda dim: DeconvHead(dim, out_channels=2, deconv_channels=[4], conv_channels=[])  # noqa: E731
    model = Sapiens(small(), head=head)
    image = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)
    torch.testing.assert_close(model(image), model(image.float()))
    gray = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    assert model.normalize(gray).abs().max() < 1e-6
    assert not [key for key in model.state_dict() if "mean" in key]  # buffers, but not saved


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("vit_tiny_patch16_224", (6, 4)),
        ("convnext_atto", (3, 2)),
        ("swin_tiny_patch4_window7_224", (3, 2)),
    ],
)
def test_timm_encoders_stand_in(name: str, grid: tuple[int, int]) -> None:
    encoder = TimmEncoder(name, image_size=(96, 64))
    assert encoder(torch.rand(1, 3, 96, 64)).shape == (1, encoder.embed_dim, *grid)
    assert encoder.stride == 96 // grid[0]


def test_an_unknown_timm_name_lists_near_ones() -> None:
    with pytest.raises(ValueError, match="vit_"):
        TimmEncoder("vit_tiny_patch99", image_size=(64, 64))


def test_an_image_far_larger_than_the_model_is_refused() -> None:
    model = Sapiens(small(), head=lambda dim: torch.nn.Conv2d(dim, 1, 1)).eval()
    assert model(torch.zeros(1, 3, 128, 96)).shape == (1, 1, 8, 6)  # four times the pixels
    with pytest.raises(ValueError, match=r"144x96 pixels .* 64x48 of this model.*image_size="):
        model(torch.zeros(1, 3, 144, 96))
