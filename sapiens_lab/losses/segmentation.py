"""Losses of part maps: cross entropy by the official rule, and the overlap of every part.

Both take logits already upsampled to the labels' size and compute in float32: softmax of 28 classes
over a million pixels loses the rare ones in half precision.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sapiens_lab.ranges import NonNegative

log = logging.getLogger(__name__)


def balanced_weights(counts: NDArray[np.int64]) -> Tensor:
    """Return a factor for each class ``(C,)`` that grows as the class gets rarer.

    The median fraction over the fraction of the class (Eigen and Fergus, ICCV 2015, section 4.3.3),
    under a square root and within 0.1..10 as the official weights are: without the root, a tongue
    of a few pixels would outweigh the person. A class that does not occur gets 1.
    """
    fractions = torch.as_tensor(counts).double() / max(1, int(np.sum(counts)))
    seen = fractions > 0
    if not seen.any():
        return torch.ones(len(fractions))
    weights = (fractions[seen].median() / fractions.clamp(min=1e-12)).sqrt().clamp(0.1, 10.0)
    return weights.where(seen, torch.ones_like(weights)).float()


class WeightedCrossEntropy(nn.Module):
    """Cross entropy of every pixel times its class's weight, averaged over *all* pixels.

    Ignored pixels add nothing and still count, and the sum of the weights does not divide: the rule
    that the official segmentation recipes execute (reference of Sapiens v1, section 4.2). PyTorch's
    own weighted mean divides by the weights, so it has another scale for every image.

    Args:
        class_weights: one factor a class; ``None`` is 1 for all; ``auto`` waits for
            ``balance`` to be called with the training set's counts.
        ignore_index: label of the pixels that do not count.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        class_weights: Sequence[NonNegative] | Literal["auto"] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.was_counted = self.needs_counts = class_weights == "auto"
        self._was_said = False
        given = None if isinstance(class_weights, str) else class_weights
        weights = None if given is None else torch.tensor(given).float()
        # The config is where weights come from; a checkpoint does not repeat them.
        self.register_buffer("class_weights", weights, persistent=False)
        self.ignore_index = ignore_index

    def balance(self, counts: NDArray[np.int64]) -> Tensor:
        """Take weights from how many pixels each class ``(C,)`` has, and return them ``(C,)``."""
        device = None if self.class_weights is None else self.class_weights.device
        self.class_weights = balanced_weights(counts).to(device)
        self.needs_counts = False
        return self.class_weights

    def get_extra_state(self) -> Tensor:
        """Let a checkpoint carry counted weights: an evaluation has no training set to count."""
        counted = self.was_counted and self.class_weights is not None
        return self.class_weights if counted else torch.empty(0)  # type: ignore[return-value]

    def set_extra_state(self, state: Tensor) -> None:
        """Take counted weights back, where the config asks for them."""
        if self.was_counted and len(state):
            self.class_weights, self.needs_counts = state.float(), False

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare ``logits (B, C, H, W)`` with ``labels (B, H, W)`` int64; a scalar.

        Raises:
            ValueError: the sizes differ, the number of weights is not that of the classes, or
                ``auto`` weights are not counted before training.
        """
        _check_size(logits, labels)
        if self.needs_counts:
            self._go_unweighted()
        if self.class_weights is not None and len(self.class_weights) != logits.shape[1]:
            raise ValueError(
                f"{len(self.class_weights)} class weights for {logits.shape[1]} classes; "
                "class_weights needs one number a class"
            )
        losses = F.cross_entropy(
            logits.float(),
            labels,
            weight=None if self.class_weights is None else self.class_weights.to(logits.device),
            ignore_index=self.ignore_index,
            reduction="none",  # CUDA's own sum is not deterministic
        )
        return losses.mean()

    def _go_unweighted(self) -> None:
        """Weigh all classes alike where exported weights are evaluated: nothing was counted."""
        if self.training:
            raise ValueError("class_weights=auto: call balance(counts) before the first batch")
        if not self._was_said:
            self._was_said = True
            log.warning("class_weights=auto: no training set was counted; the loss is unweighted")


class DiceLoss(nn.Module):
    """One minus the soft Dice overlap, averaged over the classes present in each image.

    ``1 - (2 sum(p g) + s) / (sum(p^2) + sum(g^2) + s)`` with probabilities ``p`` and target ``g``
    over the pixels that count; the form with squares is of Milletari et al., "V-Net", 3DV 2016. An
    image in which no class is present adds 0 to the mean over the batch. The defaults are those
    of Sapiens2 (its reference, section 4.2).

    Args:
        ignore_index: label of the pixels that do not count.
        background: class that is left out of the average; ``None`` takes all.
        smooth: ``s``, in pixels; it keeps the ratio defined.
    """

    def __init__(
        self, *, ignore_index: int = 255, background: int | None = 0, smooth: float = 1e-3
    ) -> None:
        super().__init__()
        self.ignore_index, self.background, self.smooth = ignore_index, background, smooth

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare ``logits (B, C, H, W)`` with ``labels (B, H, W)`` int64; a scalar.

        Raises:
            ValueError: the sizes differ.
        """
        _check_size(logits, labels)
        labels = labels[:, None]  # (B, 1, H, W)
        classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
        ignored = labels == self.ignore_index
        gt = (labels == classes) & ~ignored  # (B, C, H, W)
        probability = logits.float().softmax(1).masked_fill(ignored, 0)
        pixels = gt.sum((-2, -1))  # (B, C)
        overlap = probability.masked_fill(~gt, 0).sum((-2, -1))
        total = probability.square().sum((-2, -1)) + pixels
        losses = 1 - (2 * overlap + self.smooth) / (total + self.smooth)  # (B, C)
        present = pixels > 0
        if self.background is not None:
            present &= classes.view(-1) != self.background
        means = losses.masked_fill(~present, 0).sum(1) / present.sum(1).clamp(min=1)  # (B,)
        return means.mean()


def _check_size(logits: Tensor, labels: Tensor) -> None:
    if (logits.shape[0], *logits.shape[2:]) != tuple(labels.shape):
        raise ValueError(
            f"logits are {tuple(logits.shape)}, labels {tuple(labels.shape)}; "
            "upsample the logits to the labels' size"
        )
