"""Training low-rank adapters (LoRA; Hu et al., ICLR 2022) of an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.models.lora import LoraLinear
from sapiens_lab.ranges import Count, Positive
from sapiens_lab.training.freeze import backbone_of


def tune_lora(
    model: nn.Module,
    *,
    rank: Count = 8,
    alpha: Positive = 16.0,
    targets: Sequence[str] = ("qkv", "proj"),
) -> None:
    """Train the head and a low-rank update of the named linear layers of every block.

    Args:
        model: is changed in place.
        rank: of the update.
        alpha: the update is scaled by ``alpha / rank``.
        targets: names of linear layers in a block: ``qkv``, ``proj``, ``fc1``, ``fc2``.

    Raises:
        ValueError: an impossible rank, a layer that the blocks do not have, or an encoder that
            bypasses its layers' ``forward``, where adapters would have no effect.
    """
    backbone = backbone_of(model, "tune=lora", needs_blocks=True)
    if rank < 1 or not targets:
        raise ValueError(f"tune.rank={rank} must be at least 1, and tune.targets not empty")
    linear = [
        (parent, name, child)
        for block in backbone.blocks
        for parent in block.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    known = {name for _, name, _ in linear}
    if unknown := set(targets) - known:
        raise ValueError(f"tune.targets {sorted(unknown)}: a block has {sorted(known)}")
    backbone.requires_grad_(False)
    for parent, name, child in linear:
        if name in targets:
            setattr(parent, name, LoraLinear(child, rank=rank, alpha=alpha))
    _check_used(backbone)


@torch.no_grad()
def _check_used(backbone: Backbone) -> None:
    """Run the encoder once: some of timm's multiply by ``weight`` without calling the layer."""
    used: set[nn.Module] = set()
    adapters = {n: m for n, m in backbone.named_modules() if isinstance(m, LoraLinear)}
    hooks = [m.register_forward_hook(lambda m, *_: used.add(m)) for m in adapters.values()]
    device = next(backbone.parameters()).device
    backbone.eval()(torch.zeros(1, 3, *backbone.image_size, device=device))
    backbone.train()
    for hook in hooks:
        hook.remove()
    if idle := [name for name, module in adapters.items() if module not in used]:
        raise ValueError(
            f"tune=lora: {type(backbone).__name__} never calls {idle[0]}, so its adapter has no "
            "effect; choose other tune.targets (proj, fc1, fc2) or tune=last_n"
        )
