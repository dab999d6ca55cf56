"""Low-rank adapters (LoRA; Hu et al., ICLR 2022).

A small layer of our own: peft renames every tensor and wraps the model, and then checkpoints,
exports and the official key table no longer fit without translation. Here the base weights keep
their names and two matrices are added beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        """Return ``x W' + b`` with the updated matrix, without ever forming it."""
        update = F.linear(F.linear(input, self.lora_a), self.lora_b)
        return super().forward(input) + self.scale * update


def merge_lora(state: Mapping[str, Tensor], *, scale: float) -> dict[str, Tensor]:
    """Fold adapters into the matrices that they update; the names are those of a plain model.

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
