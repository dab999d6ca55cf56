"""What trains: everything, the head, or the head and the last blocks of the encoder.

Frozen parameters below the first trainable one need no autograd graph, so a frozen encoder costs
a forward pass only. ``Backbone.train`` keeps frozen blocks in evaluation mode.
"""

from __future__ import annotations

from torch import nn

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.ranges import Count


def tune_full(model: nn.Module) -> None:
    """Train everything."""


def tune_head(model: nn.Module) -> None:
    """Train the head on the features of a frozen encoder."""
    backbone_of(model, "tune=head").requires_grad_(False).train()


def tune_last(model: nn.Module, *, num_layers: Count = 4) -> None:
    """Train the head, the last blocks of the encoder, and what follows them.

    Raises:
        ValueError: the encoder has fewer blocks, or none that are known by name.
    """
    backbone = backbone_of(model, "tune=last_n", needs_blocks=True)
    total = len(backbone.block_names)
    if not 0 < num_layers <= total:
        raise ValueError(f"tune.num_layers={num_layers}: the encoder has {total} blocks")
    trained = total - num_layers + 1  # the first trained layer; 0 is the embeddings
    layers = backbone.parameter_layers()
    for name, parameter in backbone.named_parameters():
        if layers[name] < trained:
            parameter.requires_grad_(False)
    backbone.train()  # frozen blocks change to evaluation mode


def backbone_of(model: nn.Module, option: str, *, needs_blocks: bool = False) -> Backbone:
    """Return the encoder of a model.

    Raises:
        ValueError: it has none, or one whose blocks are not known; names ``option``.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise ValueError(f"{option}: {type(model).__name__} has no backbone; use tune=full")
    if needs_blocks and not backbone.block_names:
        raise ValueError(
            f"{option}: {type(backbone).__name__} names no blocks (block_names); use tune=head or "
            "tune=full"
        )
    return backbone
