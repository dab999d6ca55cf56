"""The head of Sapiens: it turns features into heatmaps, logits, depth or normals.

The four tasks differ by numbers only (sapiens_v1 reference, section 3.2): how many deconvolutions
double the resolution, how many 1x1 convolutions follow, and how many channels come out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens_lab.models.spec import PARTIAL, Described, HasSpec, Spec
from sapiens_lab.ranges import Count, Fraction, NonNegative


class DeconvHead(Described, nn.Module):
    """Deconvolutions and 1x1 convolutions, each with instance norm, and a last projection.

    Input ``(B, in_channels, h, w)``, output ``(B, out_channels, h * 2^n, w * 2^n)`` for ``n``
    deconvolutions. The instance norm has no parameters and no running statistics, so training and
    evaluation compute the same and no sample depends on the others of its batch.

    Args:
        in_channels: of the encoder.
        out_channels: keypoints, classes, 1 for depth, 3 for normals.
        deconv_channels: width after each deconvolution (kernel 4, stride 2, no bias).
        conv_channels: width after each 1x1 convolution (with bias).
        dropout: of whole channels before the last projection (official: 0.1 except in pose).
        weight_std: standard deviation of the initial weights below the last layer; ``None`` keeps
            torch's initialization (official: 0.001 in pose, ``None`` elsewhere).
        out_std: the same of the last layer (official: 0.001 in pose, 0.01 elsewhere).
    """

    training_only = frozenset({"dropout", "weight_std", "out_std"})

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: Count,
        deconv_channels: Sequence[Count],
        conv_channels: Sequence[Count],
        dropout: Fraction = 0.0,
        weight_std: NonNegative | None = 0.001,
        out_std: NonNegative = 0.001,
    ) -> None:
        super().__init__()
        widths = [in_channels, *deconv_channels]
        self.deconvs = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False)
            for a, b in pairwise(widths)
        )
        widths = [widths[-1], *conv_channels]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.dropout = nn.Dropout2d(dropout)
        self.out = nn.Conv2d(widths[-1], out_channels, 1)
        if weight_std is not None:
            for module in (*self.deconvs, *self.convs):
                _initialize(module, weight_std)
        _initialize(self.out, out_std)

    @property
    def upsampling(self) -> int:
        """Factor by which the output is larger than the features."""
        return int(2 ** len(self.deconvs))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, out_channels, h * upsampling, w * upsampling)``."""
        for stage in (*self.deconvs, *self.convs):
            # Not in place: the norm returns a view, and autograd would copy every map.
            features = F.silu(F.instance_norm(stage(features)))
        out: Tensor = self.out(self.dropout(features))
        return out


def _initialize(module: nn.Module, std: float) -> None:
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    nn.init.normal_(module.weight, std=std)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class MultiHead(Described, nn.Module):
    """Several heads side by side on the same features.

    Args:
        in_channels: of the encoder.
        heads: by name; each makes a head, given ``in_channels``.
    """

    def __init__(
        self, in_channels: int, *, heads: Mapping[str, Callable[[int], nn.Module]]
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: make(in_channels) for name, make in heads.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return the output of every head by its name."""
        return {name: head(features) for name, head in self.heads.items()}

    def arguments(self) -> Spec:
        """Return the arguments; heads describe themselves even where a lambda made them."""
        recorded = super().arguments()
        described = {n: factory_spec(h) for n, h in self.heads.items() if isinstance(h, HasSpec)}
        return {**recorded, "heads": {**recorded["heads"], **described}}


class FeatureHead(Described, nn.Module):
    """Pass features on unchanged: for an encoder without a task."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features``."""
        return features


def factory_spec(head: HasSpec) -> Spec:
    """Return the spec of a function that makes this head from ``in_channels``."""
    spec = {name: value for name, value in head.spec().items() if name != "in_channels"}
    return {**spec, PARTIAL: True}
