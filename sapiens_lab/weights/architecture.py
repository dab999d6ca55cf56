"""The sizes of a model, read off its tensors or its modules, and the model built from them.

A checkpoint describes itself: widths, layers and outputs are shapes. Three facts are not in the
shapes: the number of attention heads (known for the released widths), the patch padding (known by
task) and, for odd grids, the image's aspect. They are arguments, and what was assumed is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from sapiens_lab.models.heads import DeconvHead, MultiHead
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.timm_encoder import TimmEncoder
from sapiens_lab.models.vit import SIZES, ViT

Size = tuple[int, int]

# Attention heads by embedding width: the released models' and our own small ones'.
_HEADS_BY_WIDTH = {width.embed_dim: width.num_heads for width in SIZES.values()}
_MAE_DIM, _MAE_HEADS = 512, 16  # of the official decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadShape:
    """One decoder."""

    out_channels: int
    deconv_channels: tuple[int, ...]
    conv_channels: tuple[int, ...]

    def build(self, in_channels: int) -> DeconvHead:
        """Return the decoder for features of ``in_channels``."""
        return DeconvHead(in_channels, **asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Everything that is needed to build a model whose tensors then fit."""

    embed_dim: int
    num_layers: int
    num_heads: int
    patch_size: int
    image_size: Size  # of the positional embedding
    class_token: bool
    mlp_ratio: float = 4.0
    patch_padding: int = 0
    heads: Mapping[str, HeadShape]  # "" is the only one; empty: an encoder alone
    mae_decoder: Mapping[str, int] | None = None  # dim, layers, heads
    timm: str | None = None  # name of the encoder, if it is one of timm's

    def build(self) -> Sapiens | MaskedAutoencoder:
        """Return the model with new weights."""
        if self.mae_decoder is not None:
            dim, layers, heads = (self.mae_decoder[name] for name in ("dim", "layers", "heads"))
            return MaskedAutoencoder(
                self._vit(), decoder_dim=dim, decoder_layers=layers, decoder_heads=heads
            )
        backbone = self._vit() if self.timm is None else self._timm()
        if not self.heads:
            return Sapiens(backbone, head=lambda _: nn.Identity())
        if set(self.heads) == {""}:
            return Sapiens(backbone, head=self.heads[""].build)
        makers = {name: shape.build for name, shape in self.heads.items()}
        return Sapiens(backbone, head=partial(MultiHead, heads=makers))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Architecture:
        """Take the values of ``to_dict`` back, as a JSON file returns them."""
        heads = {
            name: HeadShape(
                out_channels=head["out_channels"],
                deconv_channels=tuple(head["deconv_channels"]),
                conv_channels=tuple(head["conv_channels"]),
            )
            for name, head in values["heads"].items()
        }
        height, width = values["image_size"]
        return Architecture(**{**values, "heads": heads, "image_size": (height, width)})

    def _vit(self) -> ViT:
        return ViT(
            self.image_size,
            embed_dim=self.embed_dim,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            patch_size=self.patch_size,
            patch_padding=self.patch_padding,
            class_token=self.class_token,
            mlp_ratio=self.mlp_ratio,
        )

    def _timm(self) -> TimmEncoder:
        assert self.timm is not None
        return TimmEncoder(self.timm, image_size=self.image_size)


def architecture_of(model: Sapiens | MaskedAutoencoder) -> Architecture:
    """Read the sizes off a model.

    Raises:
        ValueError: its encoder is of a kind that cannot be written down.
    """
    backbone = model.backbone
    state = model.state_dict()
    decoder_heads = model.decoder.num_heads if isinstance(model, MaskedAutoencoder) else None
    if isinstance(backbone, TimmEncoder):
        return Architecture(
            embed_dim=backbone.embed_dim, num_layers=0, num_heads=0, patch_size=backbone.stride,
            image_size=backbone.image_size, class_token=False, heads=_head_shapes(state),
            timm=backbone.name,
        )  # fmt: skip
    if not isinstance(backbone, ViT):
        raise ValueError(f"an encoder of class {type(backbone).__name__} cannot be exported")
    rows, columns = backbone.grid
    return Architecture(
        embed_dim=backbone.embed_dim,
        num_layers=len(backbone.layers),
        num_heads=backbone.num_heads,
        patch_size=backbone.patch_size,
        image_size=(rows * backbone.patch_size, columns * backbone.patch_size),
        class_token=backbone.cls_token is not None,
        mlp_ratio=backbone.mlp_ratio,
        patch_padding=backbone.patch_padding,
        heads=_head_shapes(state),
        mae_decoder=_mae_decoder(state, decoder_heads),
    )


def read_architecture(
    state: Mapping[str, Tensor],
    *,
    num_heads: int | None = None,
    image_size: Size | None = None,
    patch_padding: int = 0,
    decoder_heads: int | None = None,
) -> Architecture:
    """Read the sizes off tensors under our names.

    Args:
        state: names as in ``weights/names.py``.
        num_heads: attention heads; known for the released widths.
        image_size: (height, width) of the positional embedding; a square or 4:3 grid by default.
        patch_padding: see ``ViT``.
        decoder_heads: attention heads of a MAE decoder; known for the official one.

    Raises:
        ValueError: these are not tensors of ours, or a number must be given; says which.
    """
    kernel, table = state.get("backbone.patch_embed.weight"), state.get("backbone.pos_embed")
    if kernel is None or table is None:
        shown = ", ".join(list(state)[:4])
        raise ValueError(f"these are not the tensors of a Sapiens encoder: {shown}, ...")
    embed_dim, patch_size = int(kernel.shape[0]), int(kernel.shape[-1])
    blocks = [int(m.group(1)) for n in state if (m := re.match(r"backbone\.layers\.(\d+)\.", n))]
    hidden = state["backbone.layers.0.mlp.fc1.weight"].shape[0]
    class_token = "backbone.cls_token" in state
    return Architecture(
        embed_dim=embed_dim,
        num_layers=max(blocks) + 1,
        num_heads=num_heads or _known_heads(embed_dim),
        patch_size=patch_size,
        image_size=image_size or _image_size(int(table.shape[1]) - class_token, patch_size),
        class_token=class_token,
        mlp_ratio=hidden / embed_dim,
        patch_padding=patch_padding,
        heads=_head_shapes(state),
        mae_decoder=_mae_decoder(state, decoder_heads),
    )


def grid_of(num_patches: int) -> Size | None:
    """Return the (rows, columns) of a positional embedding: square, or 4:3 when fine-tuned."""
    side = math.isqrt(num_patches)
    if side * side == num_patches:
        return side, side
    unit = math.isqrt(num_patches // 12)
    return (4 * unit, 3 * unit) if 12 * unit * unit == num_patches else None


def _image_size(num_patches: int, patch_size: int) -> Size:
    grid = grid_of(num_patches)
    if grid is None:
        raise ValueError(
            f"a positional embedding of {num_patches} patches is neither square nor 4:3; give "
            "image_size=(height, width) of the model"
        )
    return grid[0] * patch_size, grid[1] * patch_size


def _known_heads(embed_dim: int) -> int:
    if embed_dim not in _HEADS_BY_WIDTH:
        raise ValueError(
            f"the number of attention heads of a width of {embed_dim} is not known (the released "
            f"widths are {', '.join(map(str, _HEADS_BY_WIDTH))}); give num_heads="
        )
    return _HEADS_BY_WIDTH[embed_dim]


def _head_shapes(state: Mapping[str, Tensor]) -> dict[str, HeadShape]:
    """Find every decoder: ``head.out``, or ``head.heads.<name>.out`` where there are several."""
    shapes = {}
    for name in state:
        match = re.fullmatch(r"head\.(?:heads\.(\w+)\.)?out\.weight", name)
        if match:
            prefix = name.removesuffix("out.weight")
            shapes[match.group(1) or ""] = HeadShape(
                out_channels=int(state[name].shape[0]),
                deconv_channels=_widths(state, f"{prefix}deconvs", dim=1),
                conv_channels=_widths(state, f"{prefix}convs", dim=0),
            )
    return shapes


def _mae_decoder(state: Mapping[str, Tensor], num_heads: int | None) -> dict[str, int] | None:
    table = state.get("decoder.pos_embed")
    if table is None:
        return None
    blocks = [int(m.group(1)) for n in state if (m := re.match(r"decoder\.layers\.(\d+)\.", n))]
    dim = int(table.shape[-1])
    if num_heads is None and dim != _MAE_DIM:
        raise ValueError(
            f"the attention heads of a decoder of width {dim} are not known (the official one has "
            f"{_MAE_HEADS} at {_MAE_DIM}); give decoder_heads="
        )
    return {"dim": dim, "layers": max(blocks) + 1, "heads": num_heads or _MAE_HEADS}


def describe_encoder(state: Mapping[str, Tensor]) -> str:
    """Say what an encoder is by its tensors, for messages."""
    blocks = {m.group(1) for name in state if (m := re.search(r"layers\.(\d+)\.", name))}
    kernel = state.get("backbone.patch_embed.weight")
    if kernel is None:
        return f"{len(state)} tensors of another kind"
    return f"width {kernel.shape[0]}, {len(blocks)} layers, patches of {kernel.shape[-1]}"


def _widths(state: Mapping[str, Tensor], prefix: str, *, dim: int) -> tuple[int, ...]:
    widths: list[int] = []
    while (weight := state.get(f"{prefix}.{len(widths)}.weight")) is not None:
        widths.append(int(weight.shape[dim]))
    return tuple(widths)
