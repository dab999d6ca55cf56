"""What trains: all, the head, the last blocks, or low-rank adapters.

LoRA (Hu et al., ICLR 2022) is a small layer of our own: peft renames every tensor and wraps the
model, and then checkpoints, exports and the official key table no longer fit without translation.
Here the base weights keep their names and two matrices stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_lab.models.vit import ViT

GIB = 2**30


def tune_full(model: nn.Module) -> None:
    """Train everything."""


def tune_head(model: nn.Module) -> None:
    """Train the decoder on the features of a frozen encoder, which runs without a graph."""
    _freeze(_backbone(model))


def tune_last(model: nn.Module, *, num_layers: int = 4) -> None:
    """Train the decoder, the final norm and the last blocks; what lies below has no graph.

    Raises:
        ValueError: the encoder has fewer blocks, or is not a ``ViT``.
    """
    backbone = _vit(model, "tune=last_n")
    total = len(backbone.layers)
    if not 0 < num_layers <= total:
        raise ValueError(f"tune.num_layers={num_layers}: the encoder has {total} blocks")
    _freeze(backbone)
    for module in (*backbone.layers[total - num_layers :], backbone.norm):
        module.requires_grad_(True)
    backbone.num_frozen = total - num_layers


def tune_lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    targets: Sequence[str] = ("qkv", "proj"),
) -> None:
    """Train the decoder and a low-rank change of the named linear layers of every block.

    Args:
        model: is changed in place.
        rank: of the change.
        alpha: it is scaled by ``alpha / rank``.
        targets: of ``qkv``, ``proj``, ``fc1`` and ``fc2``.

    Raises:
        ValueError: an impossible rank, or a layer that the blocks do not have.
    """
    backbone = _vit(model, "tune=lora")
    if rank < 1 or not targets:
        raise ValueError(f"tune.rank={rank} must be at least 1, and tune.targets not empty")
    known = {name.rsplit(".", 1)[-1] for name, m in backbone.layers.named_modules() if _linear(m)}
    if unknown := set(targets) - known:
        raise ValueError(f"tune.targets {sorted(unknown)}: a block has {sorted(known)}")
    backbone.requires_grad_(False)
    for module in list(backbone.layers.modules()):
        for name, child in list(module.named_children()):
            if name in targets and isinstance(child, nn.Linear):
                setattr(module, name, LoraLinear(child, rank=rank, alpha=alpha))


class LoraLinear(nn.Linear):
    """A frozen linear layer plus ``(alpha / rank) B A``; B starts at zero, so nothing changes yet.

    Args:
        base: gives weight and bias, which keep their names.
        rank: rows of A.
        alpha: see above.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None)
        self.weight, self.bias = base.weight, base.bias
        self.scale = alpha / rank
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features).to(base.weight))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank).to(base.weight))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, input: Tensor) -> Tensor:
        """Return ``x W' + b`` with the changed matrix, without ever forming it."""
        change = F.linear(F.linear(input, self.lora_a), self.lora_b)
        return super().forward(input) + self.scale * change


def merge_lora(state: dict[str, Tensor], *, scale: float) -> dict[str, Tensor]:
    """Fold adapters into the matrices that they change; the names are then those of a plain model.

    Args:
        state: tensors by name; is not changed.
        scale: ``alpha / rank`` of the adapters.
    """
    merged = {name: value for name, value in state.items() if ".lora_" not in name}
    for name, a in state.items():
        if name.endswith(".lora_a"):
            base = name.removesuffix("lora_a")
            merged[f"{base}weight"] = merged[f"{base}weight"] + scale * (state[f"{base}lora_b"] @ a)
    return merged


def lora_scale(model: nn.Module) -> float | None:
    """Return ``alpha / rank`` of a model's adapters, or ``None`` where it has none."""
    return next((m.scale for m in model.modules() if isinstance(m, LoraLinear)), None)


def describe(model: nn.Module, *, batch_size: int, image_size: tuple[int, int]) -> str:
    """Say what trains and about how much memory a step takes.

    Weights, gradients and the two moments of AdamW are counted in float32. Activations are
    estimated: a ViT block keeps 16 values for every token and channel (the inputs of its
    norms, linear layers, GELU and attention), or 1 where they are recomputed; frozen blocks keep
    none. The decoder's maps come on top. Good to about a third; measured on the CPU only.
    """
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    states = 4 * (total + 3 * trained)
    activations = 4 * batch_size * _activations(model, image_size)
    return (
        f"{total / 1e6:.1f} M parameters, {trained / 1e6:.1f} M ({trained / total:.0%}) of them "
        f"trained; a step takes about {_size(states)} for weights, gradients and AdamW and "
        f"{_size(activations)} for a batch of {batch_size} (an estimate, in float32)"
    )


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.0f} MiB"


def _activations(model: nn.Module, image_size: tuple[int, int]) -> float:
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, ViT):
        return 0.0
    rows, columns = backbone.grid_of(image_size)
    tokens = rows * columns
    kept = 1 if backbone.activation_checkpointing else 16
    trained = len(backbone.layers) - backbone.num_frozen
    inside = 0.0 if backbone.is_frozen else trained * kept * tokens * backbone.embed_dim
    pixels, outside = float(tokens), 0.0
    for module in getattr(model, "head", nn.Identity()).modules():
        if isinstance(module, nn.ConvTranspose2d):
            pixels *= 4
        if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
            outside += 3 * pixels * module.out_channels  # convolution, norm, activation
    return inside + outside


def _freeze(backbone: nn.Module) -> None:
    backbone.requires_grad_(False)
    if isinstance(backbone, ViT):
        backbone.num_frozen = len(backbone.layers)


def _backbone(model: nn.Module) -> nn.Module:
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise ValueError(f"{type(model).__name__} has no backbone to freeze; use tune=full")
    return backbone


def _vit(model: nn.Module, option: str) -> ViT:
    backbone = _backbone(model)
    if not isinstance(backbone, ViT):
        raise ValueError(f"{option} needs our ViT, not {type(backbone).__name__}; use tune=head")
    return backbone


def _linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def trainable_names(model: nn.Module) -> Iterator[str]:
    """Go through the names of the parameters that train."""
    return (name for name, p in model.named_parameters() if p.requires_grad)
