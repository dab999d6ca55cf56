"""The masked autoencoder against numbers recorded from the official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sapiens_lab.losses.pretrain import MaskedPixelLoss, normalize_patches
from sapiens_lab.models.mae import MaskedAutoencoder, patchify
from sapiens_lab.models.masking import mask_by_noise
from sapiens_lab.models.vit import SIZES, ViT, vit
from sapiens_lab.weights.families.sapiens_v1 import DENSE_KEYS, to_official
from sapiens_lab.weights.load import load_weights


@torch.no_grad()
def test_every_step_equals_the_official_one(goldens: Path, config: dict[str, Any]) -> None:
    side = config["pretrain_size"]
    backbone = ViT(
        (side, side),
        embed_dim=config["embed_dim"],
        num_layers=config["depth"],
        num_heads=config["num_heads"],
        class_token=True,
    )
    model = MaskedAutoencoder(
        backbone,
        decoder_dim=config["mae_decoder_dim"],
        decoder_layers=config["mae_decoder_depth"],
        decoder_heads=config["mae_decoder_heads"],
    ).eval()
    report = load_weights(model, goldens / "mae_epoch_1600.pth")
    assert not report.initialized
    assert not report.unused
    io = load_file(goldens / "mae_io.safetensors")
    mask = mask_by_noise(io["noise"], ratio=config["mask_ratio"])
    torch.testing.assert_close(mask.mask.float(), io["mask"])
    torch.testing.assert_close(mask.ids_restore, io["ids_restore"])
    latent = model.encode(io["image"], mask)
    preds = model.decoder(latent, mask, backbone.grid)
    patches = patchify(io["image"], config["patch_size"])
    for ours, name in ((latent, "latent"), (preds, "pred"), (normalize_patches(patches), "target")):
        assert (ours - io[name]).abs().max() < 1e-5, name
    loss = MaskedPixelLoss()(preds, patches, mask.mask)
    assert abs(float(loss) - float(io["loss"])) < 1e-5


@pytest.mark.parametrize("size", [name for name in SIZES if name.startswith("sapiens")])
def test_the_released_sizes_have_the_official_tensors(size: Any) -> None:
    """sapiens_v1 reference, section 2.2: names and shapes of a full MAE checkpoint."""
    with torch.device("meta"):
        backbone = vit(size, image_size=(1024, 1024), class_token=True)
        state = MaskedAutoencoder(backbone).state_dict()
    width, layers = SIZES[size].embed_dim, SIZES[size].num_layers
    official = to_official(state, pose=False)
    shapes = {name: tuple(value.shape) for name, value in official.items()}
    assert all(DENSE_KEYS.to_ours(name) in state for name in shapes)
    assert len(shapes) == 12 * layers + 6 + 12 * 8 + 8
    assert shapes["backbone.pos_embed"] == (1, 4097, width)
    assert shapes["neck.decoder_pos_embed"] == (1, 4097, 512)
    assert shapes["neck.decoder_embed.weight"] == (512, width)
    assert shapes["neck.decoder_blocks.7.ffn.layers.0.0.weight"] == (2048, 512)
    assert shapes["neck.decoder_pred.weight"] == (768, 512)
