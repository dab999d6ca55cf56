"""Images with surface normals, brought into our frame and checked before the first step.

Renderers differ in their frames, and files do not say which it is. A wrong one trains without an
error, so what the vectors tell is checked: their length, and whether they face the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.arrays import read_map
from sapiens_lab.data.checks import normals as checks
from sapiens_lab.data.checks.finding import Finding, OnError
from sapiens_lab.data.checks.maps import Look, check_alignment, check_coverage
from sapiens_lab.data.checks.masks import check_foreground
from sapiens_lab.data.datasets.map_dataset import MapDataset, Mask, Size, check_size
from sapiens_lab.data.discovery import folders
from sapiens_lab.data.discovery.splits import Split
from sapiens_lab.data.fields import NormalMap
from sapiens_lab.ranges import Within

Frame = Literal[
    "opencv",
    "opengl",
    "right-down-toward",
    "right-up-away",
    "left-down-away",
    "left-down-toward",
    "left-up-away",
    "left-up-toward",
]
Encoding = Literal["npy", "rgb8", "rgb16", "auto"]
AxisOrder = Literal["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"]

# What each axis of a frame is in ours: x right, y down, z away from the viewer.
_SIGNS: dict[str, tuple[int, int, int]] = {
    "opencv": (1, 1, 1),  # right-down-away
    "opengl": (1, -1, -1),  # right-up-toward
    "right-down-toward": (1, 1, -1),
    "right-up-away": (1, -1, 1),
    "left-down-away": (-1, 1, 1),
    "left-down-toward": (-1, 1, -1),
    "left-up-away": (-1, -1, 1),
    "left-up-toward": (-1, -1, -1),
}
_MAX_VALUE = {"rgb8": 255, "rgb16": 65535}
_UNSET = 0.1  # shorter vectors are no directions: background written as 0 or as mid-gray
_SHORTEST = 0.5  # shorter ones are mixtures of opposite directions


class NormalMaps(MapDataset):
    """Images and their normals; for the arguments of all such datasets see ``MapDataset``.

    The layout of the official toy data, ``images/ masks/ normals/`` with equal file names, or
    ``rgb/ mask/ normal/``, perhaps with ``train/`` and ``val/`` inside or outside. A pixel is
    valid where the mask is not zero and the stored vector is finite and not near zero; in ``rgb``
    encodings, black means "no measurement" too.

    Args:
        frame: of the files. ``opencv``: x right, y down, z away from the viewer, which is ours.
            ``opengl``: x right, y up, z toward the viewer, the blueish images of most tools.
            Others say where x, y and z point: ``left-up-toward``.
        encoding: ``npy`` is floats -1..1 as they are (.npy, EXR, float TIFF); ``rgb8`` and
            ``rgb16`` are images of ``(n + 1) / 2``; ``auto`` decides by the file's type.
        axis_order: which axis each of the three stored numbers is; ``zyx`` for arrays written by
            OpenCV's BGR habit.
        mask_dir: foreground masks; without them the whole image counts.

    Raises:
        ValueError: beside the faults of files, vectors that are far from unit length, or a surface
            that faces away from the camera as a whole; names the settings that would fit.
    """

    field = "normal"

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        frame: Frame = "opencv",
        encoding: Encoding = "auto",
        axis_order: AxisOrder = "xyz",
        image_dir: str | None = None,
        normal_dir: str | None = None,
        mask_dir: str | None = None,
        val_fraction: Within | None = 0.1,
        group_by: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        _check_choices(frame=(frame, Frame), encoding=(encoding, Encoding))
        _check_choices(axis_order=(axis_order, AxisOrder))
        self.frame, self.encoding, self.axis_order = frame, encoding, axis_order
        maps = folders.maps("normal", normal_dir)
        kinds = folders.images(image_dir), maps, folders.masks(mask_dir)
        files = folders.find_files(
            root, split, kinds, val_fraction=val_fraction, group_by=group_by, on_error=on_error
        )
        super().__init__(files, on_error=on_error)
        self._normals = files["normal"]
        self.check_samples()

    def read_map(self, index: int, size: Size, mask: Mask | None) -> NormalMap:
        """Return unit normals in our frame, and where they are known."""
        stored, known = self._read_vectors(index, size, mask)
        length = _length(stored)
        valid = known & (length > _SHORTEST)
        scale = np.divide(1, length, out=np.zeros_like(length), where=valid)
        stored[~valid] = 0  # NaN times 0 is NaN
        unit = stored * scale[..., None]
        normal = to_our_frame(unit, frame=self.frame, axis_order=self.axis_order)
        return NormalMap(normal=normal, valid=valid)

    @property
    def source(self) -> Path:
        """The folder of the maps."""
        return self._normals[0].parent

    def map_paths(self) -> Sequence[Path]:
        """Return the files of the maps."""
        return self._normals

    def map_name(self, index: int) -> str:
        """Return the file's name."""
        return self._normals[index].name

    def read_values(
        self, index: int, size: Size, mask: Mask | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the vectors as stored, and where they are known."""
        return self._read_vectors(index, size, mask)

    def find_faults(self, looks: Sequence[Look]) -> Sequence[Finding | None]:
        """Check lengths and axes."""
        lengths = checks.check_length(looks)
        return [
            *lengths,
            checks.check_flat(looks),
            None if lengths else checks.check_axes(looks, self._axes(), _setting),
            check_foreground(looks),
            check_coverage(looks, what="normal map"),
            *check_alignment(looks, what="normal map"),
        ]

    def _axes(self) -> checks.Axes:
        x, y, z = (self.axis_order.index(axis) for axis in "xyz")
        return (x, y, z), _SIGNS[self.frame]

    def _read_vectors(
        self, index: int, size: Size, mask: Mask | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return vectors as stored ``(H, W, 3)``, and where they are known ``(H, W)``."""
        path = self._normals[index]
        vectors, known = _decode(read_map(path), self.encoding, path)
        check_size(self._images[index], path, known.shape, size)
        if mask is not None:
            known &= mask
        if not known.any():
            fault = "its mask is empty" if mask is not None and not mask.any() else "all are zero"
            raise ValueError(f"{path} has no valid pixel: {fault}")
        return vectors, known


def to_our_frame(
    normal: NDArray[np.float32], *, frame: Frame, axis_order: AxisOrder
) -> NDArray[np.float32]:
    """Convert stored vectors ``(..., 3)`` into ours: x right, y down, z away from the viewer."""
    ordered = normal[..., [axis_order.index(axis) for axis in "xyz"]]
    return np.ascontiguousarray(ordered * np.array(_SIGNS[frame], np.float32))


def _decode(
    stored: NDArray[Any], encoding: Encoding, path: Path
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return vectors ``(H, W, 3)`` and where they are known ``(H, W)``."""
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise ValueError(f"{path} has the shape {stored.shape}; a normal map is (height, width, 3)")
    kinds = {"uint8": "rgb8", "uint16": "rgb16"}
    kind = "npy" if stored.dtype.kind == "f" else kinds.get(str(stored.dtype), "")
    if not kind or encoding not in ("auto", kind):
        fits = f"set encoding={kind}" if kind else "save floats, 8 or 16 bits"
        raise ValueError(f"{path} holds {stored.dtype}, not encoding={encoding}; {fits}")
    vectors = stored.astype(np.float32)
    if kind == "npy":
        length = _length(vectors)
        return vectors, np.isfinite(length) & (length > _UNSET)
    vectors = vectors * (2 / _MAX_VALUE[kind]) - 1
    is_black = (stored[..., 0] | stored[..., 1] | stored[..., 2]) == 0
    return vectors, ~is_black & (_length(vectors) > _UNSET)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lengths of ``(..., 3)``; not finite where a number is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)))


def _setting(axes: checks.Axes) -> str:
    """Return how the setting is written that reads files so."""
    order, signs = axes
    stored = "".join("xyz"[order.index(place)] for place in range(3))
    frame = next(frame for frame, known in _SIGNS.items() if known == signs)
    return f"frame={frame} axis_order={stored}"


def _check_choices(**choices: tuple[str, Any]) -> None:
    for name, (value, kind) in choices.items():
        if value not in get_args(kind):
            raise ValueError(f"{name}={value!r}; choose from {get_args(kind)}")
