"""Errors of depth maps, of every image, averaged over the images.

A relative depth is known up to scale and shift only, so an error means nothing without the
alignment that came before it: every metric is named after its alignment.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from sapiens_lab.ranges import Positive

Alignment = Literal["raw", "scale", "scale_shift"]
_NAMES = ("rmse", "abs_rel", "delta1", "delta2", "delta3")
_DELTA = 1.25  # a pixel is within delta<k> if neither depth is 1.25^k times the other


def align(preds: Tensor, target: Tensor, valid: Tensor, alignment: Alignment) -> Tensor:
    """Fit every image's prediction to its target by least squares over the valid pixels.

    ``scale`` minimizes ``sum (s p - t)^2``, ``scale_shift`` ``sum (s p + b - t)^2`` (Ranftl et al.,
    "Toward robust monocular depth estimation", TPAMI 2022; here in depth, not in disparity). The
    scale may come out negative, so an upside-down prediction can look good once aligned. One
    without variation becomes the target's mean.

    Args:
        preds: ``(B, N)`` float32, 0 where not valid.
        target: ``(B, N)`` float32, 0 where not valid.
        valid: ``(B, N)`` bool.
        alignment: ``raw`` changes nothing.

    Returns:
        ``(B, N)``; invalid pixels hold arbitrary values.
    """
    if alignment == "raw":
        return preds
    if alignment == "scale":
        return preds * _slope(preds, target)
    pixels = valid.sum(1, keepdim=True).clamp(min=1)
    preds_mean, target_mean = (x.sum(1, keepdim=True) / pixels for x in (preds, target))
    # Centered first: the normal equations lose their digits where the depth varies little.
    centered = (preds - preds_mean) * valid
    return centered * _slope(centered, (target - target_mean) * valid) + target_mean


def depth_errors(
    preds: Tensor, target: Tensor, valid: Tensor, *, min_depth: Positive
) -> tuple[Tensor, Tensor]:
    """Return every image's five metrics ``(B, 5)``, and which of them it has, ``(B, 5)`` bool.

    They are the root mean squared error over the valid pixels and, over those whose target exceeds
    ``min_depth``, the mean of ``|p - t| / t`` and the fraction of ``max(p / t, t / p) < 1.25^k``.
    A metric that an image does not have is 0. Shapes as in ``align``.
    """
    error = (preds - target).abs()
    pixels = valid.sum(1)
    rmse = (error.square().masked_fill(~valid, 0).sum(1) / pixels.clamp(min=1)).sqrt()
    deep = valid & (target > min_depth)
    deep_pixels = deep.sum(1)
    target = target.masked_fill(~deep, 1)
    relative = (error / target).masked_fill(~deep, 0)
    ratio = torch.maximum(preds / target, target / preds)
    ratio = ratio.masked_fill(preds <= 0, torch.inf)  # an aligned depth may be negative
    sums = [relative.sum(1), *(((ratio < _DELTA**k) & deep).sum(1) for k in (1, 2, 3))]
    values = [rmse, *(x / deep_pixels.clamp(min=1) for x in sums)]
    return torch.stack(values, 1), torch.stack([pixels, *[deep_pixels] * 4], 1) > 0


class DepthErrors(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """Root mean squared error, absolute relative error, fractions within 1.25, 1.25^2, 1.25^3.

    The metrics carry the alignment in their name: ``rmse`` and ``abs_rel`` of raw predictions,
    ``rmse_scale_shift`` of aligned ones. Images without a valid pixel are skipped and counted in
    ``skipped``.

    Args:
        alignment: what is fitted to each image's target first, see ``align``. Compare models of
            relative depth after ``scale_shift``.
        min_depth: ``abs_rel`` and the fractions are ratios, so they leave out targets up to this
            depth; a relative depth is truly 0 at its nearest pixel.

    Raises:
        ValueError: there is no such alignment, or ``min_depth`` is negative.
    """

    sums: Tensor  # (5,) float32, over images
    counts: Tensor  # (5,) int64, images
    skipped: Tensor  # int64, images without a valid pixel
    broken: Tensor  # int64, images whose predicted depth, or its error, is not finite
    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out

    def __init__(self, *, alignment: Alignment = "raw", min_depth: Positive = 1e-3) -> None:
        super().__init__()
        if alignment not in get_args(Alignment):
            raise ValueError(f"alignment={alignment!r}; choose one of {get_args(Alignment)}")
        if min_depth < 0:
            raise ValueError(f"min_depth must not be negative, got {min_depth}")
        self.alignment, self.min_depth = alignment, min_depth
        self.undefined = {}
        suffix = "" if alignment == "raw" else f"_{alignment}"
        self.names = tuple(name + suffix for name in _NAMES)
        self.add_state("sums", default=torch.zeros(len(self.names)), dist_reduce_fx="sum")
        zeros = torch.zeros(len(self.names)).long()
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")
        self.add_state("skipped", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("broken", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, valid: Tensor) -> None:
        """Take in images.

        Args:
            preds: ``(H, W)`` or ``(..., H, W)``, every leading index one image.
            target: same shape and unit.
            valid: same shape, bool.

        Pixels whose target is not finite do not count.

        Raises:
            ValueError: the shapes differ.
        """
        if not preds.shape == target.shape == valid.shape or preds.ndim < 2:
            raise ValueError(
                f"predicted depth is {tuple(preds.shape)}, the ground truth "
                f"{tuple(target.shape)}, valid pixels {tuple(valid.shape)}; "
                "all need one shape (..., H, W)"
            )
        values, has, valid = self._errors(preds, target, valid)
        self.sums += values.sum(0)
        self.counts += has.sum(0)
        self.broken += (~values.isfinite().all(1)).sum()
        self.skipped += (~valid.any(1)).sum()

    def of_image(self, preds: Tensor, target: Tensor, valid: Tensor) -> dict[str, float]:
        """Return the metrics ``(H, W)`` of one image, those that are defined."""
        values, has, _ = self._errors(preds, target, valid)
        rows = zip(self.names, values[0].tolist(), has[0].tolist(), strict=True)
        return {name: value for name, value, ok in rows if ok}

    def _errors(
        self, preds: Tensor, target: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the metrics of every image, which it has, and its valid pixels ``(B, N)``."""
        # A target that is not finite is no ground truth; the losses leave it out too.
        valid = valid & target.isfinite()
        valid = valid.reshape(-1, valid.shape[-2] * valid.shape[-1])  # (B, N)
        preds = preds.float().reshape(valid.shape).masked_fill(~valid, 0)
        target = target.float().reshape(valid.shape).masked_fill(~valid, 0)
        preds = align(preds, target, valid, self.alignment)
        values, has = depth_errors(preds, target, valid, min_depth=self.min_depth)
        return values, has, valid

    def compute(self) -> dict[str, Tensor]:
        """Return ``rmse``, ``abs_rel`` and ``delta1`` to ``delta3``, those that are defined."""
        reasons = [
            "no image has a valid pixel",
            *[f"no image has a valid pixel deeper than min_depth={self.min_depth:g}"] * 4,
        ]
        if self.broken:  # leaving these images out would flatter the model
            broken = f"the prediction of {int(self.broken)} images, or its error, is not finite"
            reasons = [broken] * len(_NAMES)
        known = (self.counts > 0) & (self.broken == 0)
        means = self.sums / self.counts
        rows = list(zip(self.names, means, known.tolist(), reasons, strict=True))
        self.undefined = {name: reason for name, _, ok, reason in rows if not ok}
        return {name: mean for name, mean, ok, _ in rows if ok}


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Return the least-squares factor ``(B, 1)`` from ``x`` to ``y``, both ``(B, N)``."""
    square = x.square().sum(1, keepdim=True)
    return torch.where(square > 0, (x * y).sum(1, keepdim=True) / square, 0)
