"""The masked autoencoder with which Sapiens is pretrained (Sapiens paper, section 3.1).

The encoder sees the visible patches only, which is why it is cheap: at 75 % masking it runs on a
quarter of the tokens. A narrow decoder fills the gaps. The layout follows sapiens_v1, section 1.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.models.masking import PatchMask, RandomMasking
from sapiens_lab.models.pos_embed import sincos_pos_embed
from sapiens_lab.models.sapiens import MEAN, STD, Normalized
from sapiens_lab.models.vit import Block
from sapiens_lab.ranges import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """Output of the autoencoder for a batch."""

    patches: Tensor  # (B, N, P * P * 3) predicted pixels, in the order of ``patchify``
    mask: Tensor  # (B, N) bool, True for the patches that the encoder did not see
    image: Tensor  # (B, 3, H, W) the normalized image
    latent: Tensor  # (B, prefix + n, D) tokens of the visible patches after the encoder


class MaskedAutoencoder(Normalized):
    """Mask patches, encode the others, decode all.

    Args:
        backbone: an encoder that works on tokens; its positional embedding is not trained, as
            officially.
        decoder_dim: width of the decoder.
        decoder_layers: its blocks.
        decoder_heads: its attention heads.
        masking: draws the masks.
        mean: per channel, RGB, of pixel values in [0, 255].
        std: per channel, RGB, of pixel values in [0, 255].
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        decoder_dim: Count = 512,
        decoder_layers: Count = 8,
        decoder_heads: Count = 16,
        masking: RandomMasking | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__(mean, std)
        self.backbone = backbone
        for name, parameter in backbone.named_parameters():
            if name.endswith("pos_embed"):
                parameter.requires_grad_(False)
        self.decoder = Decoder(
            backbone,
            embed_dim=decoder_dim,
            num_layers=decoder_layers,
            num_heads=decoder_heads,
        )
        self.masking = masking or RandomMasking()

    def forward(self, image: Tensor, mask: PatchMask | None = None) -> Reconstruction:
        """Return the reconstruction of images ``(B, 3, H, W)``, pixel values in [0, 255], RGB.

        Args:
            image: of any number type.
            mask: which patches to mask; drawn by ``masking`` if not given.

        Raises:
            ValueError: the mask is of other images, or a size does not divide into patches.
        """
        return self.forward_normalized(self.normalize(image), mask)

    def forward_normalized(self, image: Tensor, mask: PatchMask | None = None) -> Reconstruction:
        """Return the reconstruction of normalized images ``(B, 3, H, W)``.

        Raises:
            ValueError: the mask is of other images than these.
        """
        grid = self.backbone.grid_of((image.shape[-2], image.shape[-1]))
        mask = mask or self.masking(len(image), grid, image.device)
        found, wanted = tuple(mask.mask.shape), (len(image), grid[0] * grid[1])
        if found != wanted:
            raise ValueError(
                f"a mask of {found[0]} images of {found[1]} patches does not fit {wanted[0]} "
                f"images of {wanted[1]} ({grid[0]}x{grid[1]}); draw it for this size"
            )
        latent = self.encode(image, mask)
        patches = self.decoder(latent, mask, grid)
        return Reconstruction(patches=patches, mask=mask.mask, image=image, latent=latent)

    def encode(self, image: Tensor, mask: PatchMask) -> Tensor:
        """Return the tokens ``(B, prefix + n, D)`` of the visible patches of a normalized image.

        Positions are added before the masked patches are dropped.
        """
        tokens = self.backbone.embed(image)
        prefix = self.backbone.num_prefix_tokens
        visible = _gather(tokens[:, prefix:], mask.ids_keep)
        return self.backbone.encode(torch.cat([tokens[:, :prefix], visible], 1))


class Decoder(nn.Module):
    """A small transformer over all patches; a learned mask token stands for each masked one.

    Args:
        backbone: gives its width, patch size, grid and prefix.
        embed_dim: width.
        num_layers: blocks.
        num_heads: attention heads.
    """

    pos_embed: Tensor

    def __init__(
        self, backbone: Backbone, *, embed_dim: int, num_layers: int, num_heads: int
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.grid, self.num_prefix_tokens = backbone.grid, backbone.num_prefix_tokens
        self.activation_checkpointing = backbone.activation_checkpointing
        self.embed = nn.Linear(backbone.embed_dim, embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_buffer("pos_embed", self._positions(self.grid))
        self.layers = nn.ModuleList(Block(embed_dim, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.out = nn.Linear(embed_dim, 3 * backbone.stride**2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor, mask: PatchMask, grid: tuple[int, int]) -> Tensor:
        """Return pixels ``(B, N, P * P * 3)`` of every patch.

        Args:
            tokens: ``(B, prefix + n, D)`` of the encoder.
            mask: which patches these are.
            grid: (rows, columns) of all patches.
        """
        prefix, visible = self.embed(tokens).split(
            [self.num_prefix_tokens, mask.ids_keep.shape[1]], dim=1
        )
        num_masked = mask.ids_restore.shape[1] - mask.ids_keep.shape[1]
        mask_tokens = self.mask_token.to(visible.dtype).expand(len(visible), num_masked, -1)
        patches = _gather(torch.cat([visible, mask_tokens], 1), mask.ids_restore)
        positions = self.pos_embed if grid == self.grid else self._positions(grid).to(patches)
        tokens = torch.cat([prefix, patches], 1) + positions.to(patches.dtype)
        for layer in self.layers:
            if self.activation_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, use_reentrant=False)
            else:
                tokens = layer(tokens)
        pixels: Tensor = self.out(self.norm(tokens))[:, self.num_prefix_tokens :]
        return pixels

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the fixed positional embedding; it is computed for any grid, never resampled."""
        return sincos_pos_embed(self.embed_dim, grid, class_token=self.num_prefix_tokens > 0)


def patchify(image: Tensor, patch_size: int) -> Tensor:
    """Cut ``(B, 3, H, W)`` into ``(B, N, P * P * 3)``: rows of a patch, columns, channels."""
    b, c, height, width = image.shape
    p = patch_size
    cut = image.reshape(b, c, height // p, p, width // p, p)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)


def unpatchify(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay ``(B, N, P * P * 3)`` out as ``(B, 3, H, W)``; the inverse of ``patchify``."""
    b, _, values = patches.shape
    p = math.isqrt(values // 3)
    cut = patches.reshape(b, *grid, p, p, 3)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(b, 3, grid[0] * p, grid[1] * p)


def _gather(tokens: Tensor, ids: Tensor) -> Tensor:
    """Return ``tokens (B, N, D)`` at ``ids (B, n)``."""
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.shape[-1]))
