"""How much of a model trains, and about how much memory a training step takes."""

from __future__ import annotations

from torch import nn

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.models.heads import MultiHead

_GIB = 2**30
# Values per token and channel that a block keeps for the backward pass: the inputs of its norms,
# linear layers, GELU and attention; one where they are recomputed.
_KEPT, _KEPT_CHECKPOINTED = 16, 1


def describe(model: nn.Module, *, batch_size: int, image_size: tuple[int, int]) -> str:
    """Return a sentence on trained parameters and the estimated memory of a step.

    Weights, gradients and the two moments of AdamW are counted in float32. Activations are
    estimated for a ViT; frozen blocks below the first trained one keep none. The head's maps are
    added. Good to about a third; measured on the CPU only.

    Args:
        model: with an encoder under ``backbone``.
        batch_size: samples of a step.
        image_size: (height, width) of the input.
    """
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    states = 4 * (total + 3 * trained)
    memory = 4 * batch_size * activations(model, image_size)
    return (
        f"{total / 1e6:.1f} M parameters, {trained / 1e6:.1f} M ({trained / total:.0%}) trained; a "
        f"step takes about {_size(states)} for weights, gradients and AdamW and {_size(memory)} "
        f"for a batch of {batch_size} (an estimate, in float32)"
    )


def activations(model: nn.Module, image_size: tuple[int, int]) -> float:
    """Return about how many values a sample keeps for the backward pass."""
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, Backbone):
        return 0.0
    rows, columns = backbone.grid_of(image_size)
    tokens = rows * columns
    kept = _KEPT_CHECKPOINTED if backbone.activation_checkpointing else _KEPT
    inside = float(_num_blocks_with_graph(backbone) * kept * tokens * backbone.embed_dim)
    head = getattr(model, "head", nn.Identity())
    heads = head.heads.values() if isinstance(head, MultiHead) else [head]
    return inside + sum(_head_activations(one, tokens) for one in heads)


def _head_activations(head: nn.Module, tokens: int) -> float:
    """Return the values of a head's maps: of convolution, norm and activation."""
    pixels, count = float(tokens), 0.0
    for module in head.modules():
        if isinstance(module, nn.ConvTranspose2d):
            pixels *= 4
        if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
            count += 3 * pixels * module.out_channels
    return count


def _num_blocks_with_graph(backbone: Backbone) -> int:
    """Count the blocks from the first one up at or below which something trains."""
    layers = backbone.parameter_layers()
    trained = [layers[name] for name, p in backbone.named_parameters() if p.requires_grad]
    total = len(backbone.block_names)
    return 0 if not trained else min(total, total + 1 - min(trained))


def _size(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 2**20:.0f} MiB"
