"""Images with depth: relative or metric, dense or sparse, in the formats that sensors write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.arrays import read_map
from sapiens_lab.data.checks import depth as checks
from sapiens_lab.data.checks.finding import Finding, OnError
from sapiens_lab.data.checks.maps import Look, check_alignment, check_coverage
from sapiens_lab.data.checks.masks import check_foreground
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.map_dataset import MapDataset, Mask, Size, check_size
from sapiens_lab.data.discovery import folders
from sapiens_lab.data.discovery.splits import Split
from sapiens_lab.data.fields import DepthMap
from sapiens_lab.ranges import Positive, Within

DepthKind = Literal["relative", "metric"]


class DepthMaps(MapDataset):
    """Images and their depth; for the arguments of all such datasets see ``MapDataset``.

    The layout of the official toy data, ``images/ masks/ depths/`` with equal file names, or
    ``rgb/ mask/ depth/``, perhaps with ``train/`` and ``val/`` inside or outside.

    A pixel is valid where the mask is not zero and the stored number is finite, not in ``invalid``
    and, for ``metric`` and for inverse depth, turns into a depth above zero.

    Args:
        kind: ``metric`` asks for meters; ``relative`` takes any unit.
        unit_m: meters of one stored unit, e.g. 0.001 for the millimeters of 16-bit PNG; negative
            where the stored numbers are (``z`` of a camera that looks along ``-z``). For inverse
            depth, meters at the stored number 1.
        invalid: stored numbers that mean "no measurement".
        larger_is_farther: ``False`` says that files hold inverse depth (disparity, 1 / depth): the
            depth is then ``unit_m`` divided by the stored number.
        mask_dir: foreground masks; without them the whole image counts.
    """

    field = "depth"

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        kind: DepthKind = "relative",
        unit_m: Positive = 1.0,
        invalid: Sequence[float] = (0,),
        larger_is_farther: bool = True,
        image_dir: str | None = None,
        depth_dir: str | None = None,
        mask_dir: str | None = None,
        val_fraction: Within | None = 0.1,
        group_by: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        if kind not in get_args(DepthKind):
            raise ValueError(f"kind={kind!r}; choose from {get_args(DepthKind)}")
        _check_unit(unit_m)
        self.kind, self.unit_m, self.invalid = kind, unit_m, tuple(invalid)
        self.larger_is_farther = larger_is_farther
        kinds = folders.images(image_dir), folders.maps("depth", depth_dir), folders.masks(mask_dir)
        files = folders.find_files(
            root, split, kinds, val_fraction=val_fraction, group_by=group_by, on_error=on_error
        )
        super().__init__(files, on_error=on_error)
        self._depths = files["depth"]
        self._typical = float("nan")  # median of the maps that were looked into [m]
        self.check_samples()

    def read_map(self, index: int, size: Size, mask: Mask | None) -> DepthMap:
        """Return the depth, and where it is known."""
        path = self._depths[index]
        stored = _read_depth(path)
        if self.kind == "metric" and stored.dtype == np.uint8:
            raise ValueError(
                f"{path} has 8 bits, too few for meters; it seems to be an image of depth. Give "
                "16-bit PNG, TIFF, EXR or .npy, or set kind=relative"
            )
        check_size(self._images[index], path, stored.shape, size)
        values = stored.astype(np.float32)
        valid = np.isfinite(values) & ~np.isin(values, np.array(self.invalid, np.float32))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            depth = values * self.unit_m if self.larger_is_farther else self.unit_m / values
        valid &= np.isfinite(depth)
        if self.kind == "metric" or not self.larger_is_farther:
            valid &= depth > 0
        if mask is not None:
            valid &= mask
        if not valid.any():
            raise ValueError(_why_invalid(path, values, mask))
        return DepthMap(depth=np.where(valid, depth, 0).astype(np.float32), valid=valid)

    @property
    def source(self) -> Path:
        """The folder of the maps."""
        return self._depths[0].parent

    def map_paths(self) -> Sequence[Path]:
        """Return the files of the maps."""
        return self._depths

    def map_name(self, index: int) -> str:
        """Return the file's name."""
        return self._depths[index].name

    def read_values(
        self, index: int, size: Size, mask: Mask | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the depth, and where it is known."""
        found = self.read_map(index, size, mask)
        return found.depth, found.valid

    def find_faults(self, looks: Sequence[Look]) -> Sequence[Finding | None]:
        """Check unit, direction and values."""
        self._typical = float(np.median([np.median(look.values[look.valid]) for look in looks]))
        return [
            checks.check_huge(looks),
            checks.check_unit(looks, self.unit_m) if self.kind == "metric" else None,
            checks.check_constant(looks),
            checks.check_direction(looks),
            check_foreground(looks),
            check_coverage(looks, what="depth map"),
            *check_alignment(looks, what="depth map"),
        ]

    def differences(self, val: Dataset) -> Sequence[Finding | None]:
        """Compare the units of metric depths."""
        if self.kind != "metric" or not isinstance(val, DepthMaps):
            return ()
        return [checks.check_same_unit(self._typical, val._typical)]


def _check_unit(unit_m: object) -> None:
    if isinstance(unit_m, str) and (parts := re.fullmatch(r"([\d.]+)/([\d.]+)", unit_m)):
        number = float(parts[1]) / float(parts[2])
        raise ValueError(f"unit_m={unit_m} is no number: give {number:g}")
    if not isinstance(unit_m, int | float) or not unit_m or not np.isfinite(unit_m):
        raise ValueError(f"unit_m={unit_m}: say how many meters the stored number 1 means")


def _read_depth(path: Path) -> NDArray[np.generic]:
    """Read one channel ``(H, W)`` as stored; three equal ones, as renderers write, are one."""
    stored = read_map(path)
    if stored.ndim == 3 and (stored == stored[..., :1]).all():
        stored = stored[..., 0]
    if stored.ndim != 2 or stored.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} holds {stored.dtype} of shape {stored.shape}; a depth map has one number a "
            "pixel, shape (height, width), and is not a color-coded image"
        )
    return stored


def _why_invalid(path: Path, values: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> str:
    if mask is not None and not mask.any():
        return f"{path} has no valid pixel: its mask is empty"
    finite = values[np.isfinite(values)]
    span = f"{finite.min():g}..{finite.max():g}" if finite.size else "not finite"
    return (
        f"{path} has no valid pixel: its numbers are {span}"
        + (", in the mask none is valid" if mask is not None else "")
        + "; look at `invalid`, `unit_m` (its sign too), `larger_is_farther` and the mask"
    )
