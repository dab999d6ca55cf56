from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sapiens_lab.losses.pretrain import MaskedPixelLoss, normalize_patches
from sapiens_lab.models.mae import MaskedAutoencoder, patchify, unpatchify
from sapiens_lab.models.masking import RandomMasking, mask_by_noise
from sapiens_lab.models.vit import ViT, vit


def made(image_size: tuple[int, int] = (64, 48), *, class_token: bool = True) -> MaskedAutoencoder:
    torch.manual_seed(0)
    backbone = ViT(image_size, embed_dim=16, num_layers=2, num_heads=2, class_token=class_token)
    return MaskedAutoencoder(backbone, decoder_dim=8, decoder_layers=1, decoder_heads=2).eval()


def test_the_lowest_noise_stays_visible() -> None:
    mask = mask_by_noise(torch.tensor([[0.9, 0.1, 0.5, 0.3]]), ratio=0.5)
    assert mask.ids_keep.tolist() == [[1, 3]]
    assert mask.mask.tolist() == [[True, False, True, False]]
    tokens = torch.tensor([[1, 3, -1, -1]])  # the visible ones, then the blanks
    assert tokens.gather(1, mask.ids_restore).tolist() == [[-1, 1, -1, 3]]


@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
def test_every_image_hides_the_same_number(ratio: float) -> None:
    mask = RandomMasking(ratio)(5, (8, 6), torch.device("cpu"))
    assert mask.mask.sum(1).tolist() == [48 - int(48 * (1 - ratio))] * 5
    assert len({tuple(row) for row in mask.mask.tolist()}) == 5


def test_a_range_draws_a_ratio_a_batch() -> None:
    masking = RandomMasking((0.5, 0.9))
    shares = {
        float(masking(1, (10, 10), torch.device("cpu")).mask.float().mean()) for _ in range(20)
    }
    assert len(shares) > 5
    assert 0.5 <= min(shares) < max(shares) <= 0.91


def test_blocks_are_hidden_together() -> None:
    mask = RandomMasking(0.5, block_size=4)(3, (8, 8), torch.device("cpu"))
    blocks = mask.mask.reshape(3, 2, 4, 2, 4).float().mean((2, 4))
    assert set(blocks.unique().tolist()) == {0.0, 1.0}


def test_bad_masking_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        RandomMasking(1.0)
    with pytest.raises(ValueError, match="block_size"):
        RandomMasking(block_size=0)


def test_patches_lie_row_column_channel_and_go_back() -> None:
    image = torch.arange(3 * 32 * 48).float().reshape(1, 3, 32, 48)
    patches = patchify(image, 16)
    assert patches.shape == (1, 6, 768)
    assert patches[0, 1, 3].item() == image[0, 0, 0, 17].item()  # second patch, second column, red
    assert patches[0, 0, 16 * 3 + 2].item() == image[0, 2, 1, 0].item()  # second row, blue
    torch.testing.assert_close(unpatchify(patches, (2, 3)), image)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("size", [(64, 48), (96, 32)])
@torch.no_grad()
def test_any_size_and_the_hidden_patches_have_no_say(
    size: tuple[int, int], class_token: bool
) -> None:
    model = made(class_token=class_token)
    image = torch.randint(0, 255, (2, 3, *size), dtype=torch.uint8)
    grid = model.backbone.grid_of(size)
    mask = model.masking(2, grid, image.device)
    out = model(image, mask)
    assert out.patches.shape == (2, grid[0] * grid[1], 768)
    pixels = unpatchify(mask.mask[..., None].expand(-1, -1, 768), grid)
    other = torch.where(pixels, torch.randint_like(image, 0, 255), image)
    torch.testing.assert_close(model(other, mask).patches, out.patches)


def test_only_hidden_patches_are_learned_from() -> None:
    preds, truth = torch.zeros(1, 2, 768), torch.randn(1, 2, 768)
    hidden = torch.tensor([[True, False]])
    target = normalize_patches(truth)
    loss = MaskedPixelLoss()(preds, truth, hidden)
    torch.testing.assert_close(loss, target[:, 0].square().mean())
    assert MaskedPixelLoss()(target, truth, hidden) < 1e-10
    assert MaskedPixelLoss()(preds, torch.ones(1, 2, 768), hidden) == 0  # flat: no variance


def test_what_is_fixed_does_not_train() -> None:
    model = made().train()
    out = model(torch.randint(0, 255, (2, 3, 64, 48), dtype=torch.uint8))
    MaskedPixelLoss()(out.patches, patchify(out.image, 16), out.mask).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert idle == ["backbone.pos_embed"]
    assert "decoder.pos_embed" not in dict(model.named_parameters())


def test_the_encoder_costs_a_quarter_where_three_quarters_are_hidden() -> None:
    """Tokens enter the linear layers in proportion, attention by their square."""
    with torch.device("meta"):
        backbone = vit("sapiens_0.3b", image_size=(1024, 1024), class_token=True)
        tokens = torch.empty(1, 4097, 1024)
    with FlopCounterMode(display=False) as full:
        backbone.encode(tokens)
    with FlopCounterMode(display=False) as visible:
        backbone.encode(tokens[:, :1025])
    share = visible.get_total_flops() / full.get_total_flops()
    assert 0.15 < share < 0.26


def test_masks_that_do_not_fit_are_refused() -> None:
    model = made()
    image = torch.zeros(2, 3, 64, 48)
    with pytest.raises(ValueError, match="a mask of 1 images of 12 patches does not fit 2"):
        model(image, model.masking(1, (4, 3), image.device))
    with pytest.raises(ValueError, match="keeps 0 of 4 patches"):
        mask_by_noise(torch.rand(1, 4), ratio=0.9)


def test_a_generator_repeats_its_masks() -> None:
    masking = RandomMasking((0.5, 0.9), block_size=2)
    first, second = (
        masking(2, (6, 5), torch.device("cpu"), generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(first.mask, second.mask)
    fixed = masking(2, (6, 5), torch.device("cpu"), ratio=0.6)
    assert fixed.mask.sum(1).tolist() == [18, 18]
