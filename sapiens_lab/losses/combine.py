"""What losses of maps share: the mean over valid pixels, and the sum of named terms.

Masking and reduction stand here once, so that no term divides by other pixels than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def masked(preds: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both maps in float32 with zeros where they do not count, and where they do.

    A pixel whose target is not finite does not count (official SiLog), and whatever an invalid
    pixel holds, NaN included, reaches no gradient.

    Args:
        preds: ``(B, C, H, W)``, already of the target's size.
        target: ``(B, C, H, W)``.
        valid: ``(B, 1, H, W)`` bool.

    Returns:
        ``preds``, ``target`` and ``valid``, shapes as given.

    Raises:
        ValueError: the shapes differ.
    """
    B, _, H, W = target.shape
    if preds.shape != target.shape or valid.shape != (B, 1, H, W):
        raise ValueError(
            f"predictions are {tuple(preds.shape)}, targets {tuple(target.shape)}, valid pixels "
            f"{tuple(valid.shape)}; upsample the output to the target's size, and give `valid` "
            "one channel"
        )
    valid = valid & target.isfinite().all(1, keepdim=True)
    return preds.float().masked_fill(~valid, 0), target.float().masked_fill(~valid, 0), valid


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the sum over channels of ``values (B, C, H, W)``, averaged over the valid pixels.

    0 where no pixel of ``valid (B, 1, H, W)`` is, with a gradient of zeros: every process of a
    distributed run must take part in the backward pass.
    """
    return values.masked_fill(~valid, 0).sum() / valid.sum().clamp(min=1)


class SumOfLosses(nn.Module):
    """Named losses of the same inputs, each times its weight.

    Args:
        terms: name -> loss.
        weights: name -> factor; a term that is not named weighs 1.

    Raises:
        ValueError: there is no term, or a weight without its term.
    """

    def __init__(
        self, *, terms: Mapping[str, nn.Module], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        if not terms:
            raise ValueError("a sum of losses needs at least one term; add one to `terms`")
        weights = weights or {}
        if strange := sorted(set(weights) - set(terms)):
            raise ValueError(f"weights for {strange}, but the terms are {sorted(terms)}")
        self.terms = nn.ModuleDict(dict(terms))
        self.weights = {name: float(weights.get(name, 1)) for name in terms}

    def forward(self, *args: Tensor) -> dict[str, Tensor]:
        """Return every weighted term of ``args`` under its name; their sum is minimized."""
        return {name: self.weights[name] * term(*args) for name, term in self.terms.items()}
