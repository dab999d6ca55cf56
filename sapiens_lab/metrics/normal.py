"""Angular errors of surface normals, pooled over the valid pixels of all images.

As Sapiens2 measures them (its reference, section 7): an image counts by its valid pixels. The
angle comes from the cross and the dot product; the cosine alone takes all below 0.02 degrees for 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from sapiens_lab.ranges import Positive

_BIN_DEG = 0.01  # resolution of the median
_UNIT_DEG = 1e-6  # of the sum, which is kept as an integer


def angles_deg(preds: Tensor, target: Tensor) -> Tensor:
    """Return the angle ``(N,)`` in degrees between vectors ``(N, 3)`` of any length.

    A vector without direction, of length 0, is at 90 degrees to all others.
    """
    preds, target = F.normalize(preds.float(), dim=1), F.normalize(target.float(), dim=1)
    cross = torch.linalg.cross(preds, target).norm(dim=1)
    dot = (preds * target).sum(1)
    angle = torch.atan2(cross, dot).rad2deg()
    return angle.masked_fill((cross == 0) & (dot == 0), 90)


class AngularErrors(Metric):  # type: ignore[misc]  # mypy does not look into torchmetrics
    """Mean and median angle between predicted and true normals, and the fractions below thresholds.

    The median is read off a histogram, which sums over processes, and is exact to 0.005 degrees.

    Args:
        thresholds_deg: a metric ``within_<t>`` for each: the fraction of angles less than it.

    Raises:
        ValueError: a threshold is not within 0..180 degrees.
    """

    histogram: Tensor  # (18001,) int64 pixels by angle, rounded to 0.01 degrees
    angle_sum: Tensor  # int64 [1e-6 degrees]: exact in any order, on devices without float64 too
    within: Tensor  # (T,) int64 pixels
    broken: Tensor  # int64 valid pixels whose prediction is not finite
    undefined: dict[str, str]  # metric -> why the last ``compute`` left it out

    def __init__(self, *, thresholds_deg: Sequence[Positive] = (5, 7.5, 11.25, 22.5, 30)) -> None:
        super().__init__()
        if strange := [t for t in thresholds_deg if not 0 < t <= 180]:
            raise ValueError(f"thresholds_deg must be within 0..180 degrees, got {strange}")
        self.thresholds_deg = tuple(thresholds_deg)
        within = [f"within_{t:g}" for t in thresholds_deg]
        self.names = ("mean_angular_error", "median_angular_error", *within)
        self.undefined = {}
        bins, thresholds = round(180 / _BIN_DEG) + 1, len(self.thresholds_deg)
        self.add_state("histogram", default=torch.zeros(bins).long(), dist_reduce_fx="sum")
        self.add_state("angle_sum", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("within", default=torch.zeros(thresholds).long(), dist_reduce_fx="sum")
        self.add_state("broken", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, valid: Tensor) -> None:
        """Take in images.

        Args:
            preds: ``(..., 3, H, W)``, of any length.
            target: same shape.
            valid: ``(..., H, W)`` or ``(..., 1, H, W)`` bool.

        Pixels whose target is not finite do not count.

        Raises:
            ValueError: the shapes do not fit.
        """
        mask = valid.squeeze(-3) if valid.ndim == preds.ndim else valid
        shape = preds.shape
        if shape != target.shape or (*mask.shape[:-2], 3, *mask.shape[-2:]) != tuple(shape):
            raise ValueError(
                f"predicted normals are {tuple(shape)}, ground truth {tuple(target.shape)}, valid "
                f"pixels {tuple(valid.shape)}; they need (..., 3, H, W) twice and (..., H, W)"
            )
        # A target that is not finite is no ground truth; the losses leave it out too.
        mask = mask & target.isfinite().all(-3)
        angles = angles_deg(preds.movedim(-3, -1)[mask], target.movedim(-3, -1)[mask])
        finite = angles.isfinite()
        angles = angles[finite]
        self.broken += (~finite).sum()
        bins = (angles / _BIN_DEG).round().long()
        self.histogram += torch.bincount(bins, minlength=len(self.histogram))
        self.angle_sum += (angles / _UNIT_DEG).round().long().sum()
        thresholds = angles.new_tensor(self.thresholds_deg)
        self.within += (angles < thresholds[:, None]).sum(1)

    def compute(self) -> dict[str, Tensor]:
        """Return ``mean_angular_error`` and ``median_angular_error`` in degrees, and the fractions.

        The fractions are named ``within_5``, ``within_7.5``, ... and lie in 0..1.
        """
        pixels = self.histogram.sum()
        reason = "" if pixels else "no pixel has a valid normal"
        if self.broken:  # leaving these pixels out would flatter the model
            reason = f"the predictions of {int(self.broken)} valid pixels are not finite"
        self.undefined = dict.fromkeys(self.names, reason) if reason else {}
        if reason:
            return {}
        mean = self.angle_sum / pixels * _UNIT_DEG
        return dict(zip(self.names, (mean, self._median(), *(self.within / pixels)), strict=True))

    def _median(self) -> Tensor:
        """Return the mean of the two middle angles, each rounded to its bin [degrees]."""
        below = self.histogram.cumsum(0)
        ranks = torch.stack([below[-1] - 1, below[-1]]) // 2
        return torch.searchsorted(below, ranks, right=True).float().mean() * _BIN_DEG
