"""The optimizer of Sapiens fine-tuning: AdamW, each layer slower than the one above it.

Layer-wise decay is from BEiT (Bao et al., 2022); the groups follow the official constructor
(sapiens_v1 reference, section 7.2).
"""

from __future__ import annotations

import re

from torch import nn
from torch.optim import AdamW

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.ranges import BelowOne, NonNegative, Positive

_UNDECAYED = re.compile(r"(?:^|\.)(cls_token|mask_token|pos_embed|reg_token)$")


def adamw(
    model: nn.Module,
    *,
    lr: Positive,
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
    weight_decay: NonNegative = 0.1,
    layer_decay: Positive | None = None,
) -> AdamW:
    """Group a model's trainable parameters by layer and by decay.

    With ``L`` blocks in the backbone, the embeddings are layer 0, block ``i`` is layer ``i + 1``
    and everything else (final norm, head) is layer ``L + 1``; layer ``n`` learns at
    ``lr * layer_decay ** (L + 1 - n)``. Vectors, biases, positional embeddings and tokens are not
    decayed.

    Args:
        model: with its encoder under ``backbone``, or one without an encoder.
        lr: of the last layer.
        betas: of AdamW.
        weight_decay: of matrices and kernels.
        layer_decay: factor from a layer to the one below; ``None`` or 1 treats all alike.

    Returns:
        The optimizer; each group also has ``name``, e.g. ``layer_03_decay``.

    Raises:
        ValueError: nothing is trainable.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("no parameter of the model is trainable; unfreeze something with `tune=`")
    layers, num_layers = _parameter_layers(model)
    groups: dict[str, dict[str, object]] = {}
    for name, parameter in named:
        layer = layers.get(name, num_layers)
        decayed = parameter.ndim > 1 and not name.endswith(".bias") and not _UNDECAYED.search(name)
        key = f"layer_{layer:02d}_{'decay' if decayed else 'no_decay'}"
        scale = (layer_decay or 1.0) ** (num_layers - layer)
        group = groups.setdefault(
            key,
            {
                "name": key,
                "params": [],
                "lr": lr * scale,
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        members = group["params"]
        assert isinstance(members, list)
        members.append(parameter)
    return AdamW([groups[key] for key in sorted(groups)], lr=lr, betas=betas)


def _parameter_layers(model: nn.Module) -> tuple[dict[str, int], int]:
    """Return the layer of each parameter of the encoder by its full name, and the last layer."""
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, Backbone):
        return {}, 1
    layers = {f"backbone.{name}": n for name, n in backbone.parameter_layers().items()}
    return layers, len(backbone.block_names) + 1
