"""How much of a model trains, and about how much memory a training step takes."""

from __future__ import annotations

from dataclasses import dataclass

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
    step = estimate_step(model, image_size)
    memory = batch_size * step.per_sample
    return (
        f"{step.total / 1e6:.1f} M parameters, {step.trained / 1e6:.1f} M "
        f"({step.trained / step.total:.0%}) trained; a step takes about {_size(step.states)} for "
        f"weights, gradients and AdamW and {_size(memory)} "
        f"for a batch of {batch_size} (an estimate, in float32)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """What a training step needs."""

    total: int  # parameters
    trained: int  # of them
    states: int  # of weights, gradients and the moments of AdamW [bytes]
    per_sample: float  # activations [bytes]

    def of_batch(self, batch_size: int) -> float:
        """Return the bytes of a step of so many samples."""
        return self.states + batch_size * self.per_sample


def estimate_step(model: nn.Module, image_size: tuple[int, int]) -> StepMemory:
    """Estimate in float32 as ``describe`` says; parameters may be on the meta device."""
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return StepMemory(
        total=total,
        trained=trained,
        states=4 * (total + 3 * trained),
        per_sample=4 * activations(model, image_size),
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
