from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD

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


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "resnet10t"])
def test_timm_encoders_have_every_parameter_once(name: str) -> None:
    model = made_model(TimmEncoder(name, image_size=(64, 64)))
    found = scales(optim.adamw(model, lr=1.0, layer_decay=0.9), model)
    if name != "resnet10t":  # a network without numbered blocks learns evenly
        assert len({lr for lr, _ in found.values()}) > 5


def lrs(make: object, num_steps: int, **options: object) -> list[float]:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = make(optimizer, num_steps=num_steps, **options)  # type: ignore[operator]
    values = []
    for _ in range(num_steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_cosine_rises_and_falls() -> None:
    values = lrs(optim.warmup_cosine, 100, warmup=0.1)
    assert values[0] == pytest.approx(2e-3)
    assert values[5] == pytest.approx(2 * (1e-3 + 0.999 * 0.5))
    assert values[10] == pytest.approx(2.0)
    assert values[55] == pytest.approx(1.0)
    assert values[-1] < 0.01


def test_poly_falls_linearly_while_it_warms_up() -> None:
    values = lrs(optim.warmup_poly, 100, warmup=10)
    assert values[5] == pytest.approx(2 * (1e-3 + 0.999 * 0.5) * 0.95)
    assert values[50] == pytest.approx(1.0)


def test_multistep_drops_at_shares_of_the_run() -> None:
    values = lrs(optim.warmup_multistep, 210, warmup=2)
    assert values[169] == pytest.approx(2.0)
    assert values[170] == pytest.approx(0.2)
    assert values[200] == pytest.approx(0.02)
    with pytest.raises(ValueError, match="fractions of the run"):
        lrs(optim.warmup_multistep, 210, milestones=[170])


def test_a_warmup_that_outlasts_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"500 steps.*run of 600"):
        lrs(optim.warmup_cosine, 600, warmup=500)
