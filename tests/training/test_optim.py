from __future__ import annotations

import pytest
import torch
from torch import nn

from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.timm_encoder import TimmEncoder
from sapiens_lab.models.vit import ViT
from sapiens_lab.training import optim


def made_model(backbone: nn.Module | None = None) -> Sapiens:
    encoder = backbone or ViT((32, 32), embed_dim=8, num_layers=3, num_heads=2, class_token=True)
    return Sapiens(
        encoder,
        head=lambda dim: DeconvHead(dim, out_channels=2, deconv_channels=[4], conv_channels=[4]),
    )


def scales(optimizer: torch.optim.AdamW, model: nn.Module) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter by name; each must be there once."""
    names = {id(p): name for name, p in model.named_parameters()}
    found: dict[str, tuple[float, float]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert set(found) == {n for n, p in model.named_parameters() if p.requires_grad}
    return found


def test_layers_learn_by_the_official_rule() -> None:
    model = made_model()
    found = scales(optim.adamw(model, lr=1.0, weight_decay=0.1, layer_decay=0.5), model)
    # three blocks: layers 0 (embeddings), 1..3 (blocks), 4 (norm and head); scale 0.5 ** (4 - n)
    assert found["backbone.pos_embed"] == (0.5**4, 0.0)
    assert found["backbone.cls_token"] == (0.5**4, 0.0)
    assert found["backbone.patch_embed.weight"] == (0.5**4, 0.1)
    assert found["backbone.patch_embed.bias"] == (0.5**4, 0.0)
    assert found["backbone.layers.0.attn.qkv.weight"] == (0.5**3, 0.1)
    assert found["backbone.layers.2.norm1.weight"] == (0.5, 0.0)
    assert found["backbone.norm.weight"] == (1.0, 0.0)
    assert found["head.out.weight"] == (1.0, 0.1)
    assert found["head.out.bias"] == (1.0, 0.0)


def test_frozen_parameters_are_in_no_group() -> None:
    model = made_model()
    model.backbone.requires_grad_(False)
    found = scales(optim.adamw(model, lr=1.0, layer_decay=0.5), model)
    assert all(name.startswith("head.") for name in found)
    assert set(found.values()) == {(1.0, 0.1), (1.0, 0.0)}
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="trainable"):
        optim.adamw(model, lr=1.0)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vit_tiny_patch16_224", 14),
        ("convnext_atto", 14),
        ("swin_tiny_patch4_window7_224", 14),
        ("resnet10t", 6),
    ],
)
def test_timm_encoders_have_every_parameter_once(name: str, layers: int) -> None:
    model = made_model(TimmEncoder(name, image_size=(64, 64)))
    found = scales(optim.adamw(model, lr=1.0, layer_decay=0.9), model)
    assert len({lr for lr, _ in found.values()}) == layers  # embeddings, blocks, head
