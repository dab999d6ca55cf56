"""``Sample`` (numpy, one person) and ``Batch`` (torch, many): the data contract of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.data.fields import (
    DepthMap,
    EncodedImage,
    Field,
    Image,
    Keypoints,
    LabelMap,
    NormalMap,
)
from sapiens_lab.geometry import Matrix

F = TypeVar("F")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meta:
    """Where a sample comes from, and how its pixels got where they are."""

    id: int  # unique in its dataset
    image_id: int  # shared by the people of one image
    path: str
    size: tuple[int, int]  # source (height, width)
    bbox: NDArray[np.float32]  # (4,) xyxy, source pixels, as annotated or detected
    matrix: Matrix = field(default_factory=geometry.identity)  # source -> input pixels
    bbox_score: float = 1.0  # of the detector; 1 for annotated boxes

    def to_source(self, xy: NDArray[Any]) -> NDArray[np.float64]:
        """Move input-frame points ``(..., 2)`` back to the source image."""
        return geometry.apply(geometry.invert(self.matrix), xy)


@dataclass(slots=True, kw_only=True)
class Sample:
    """One person: an image and its annotations, all in the same frame.

    Geometric transforms multiply ``meta.matrix`` and move ``bbox``; image and fields stay in the
    source frame until ``Warp`` samples them.
    """

    image: Image | EncodedImage
    bbox: NDArray[np.float32]  # (4,) xyxy, already moved by meta.matrix
    meta: Meta
    fields: dict[str, Field] = field(default_factory=dict)  # the annotations, by name
    gt: dict[str, Field] | None = None  # the same before ``Warp``, where a task measures there

    def move(self, matrix: Matrix, bbox: NDArray[np.float32] | None = None) -> Sample:
        """Plan one more geometric step; ``bbox`` is the box after it (default: unchanged)."""
        meta = replace(self.meta, matrix=geometry.compose(matrix, self.meta.matrix))
        return replace(self, meta=meta, bbox=self.bbox if bbox is None else bbox)

    @property
    def can_flip(self) -> bool:
        """Whether every annotation knows what its left and right become under a horizontal flip."""
        return all(item.can_flip for item in self.fields.values())

    @property
    def keypoints(self) -> Keypoints | None:
        """The field ``keypoints``."""
        return self._get("keypoints", Keypoints)

    @property
    def labels(self) -> LabelMap | None:
        """The field ``labels``."""
        return self._get("labels", LabelMap)

    @property
    def depth(self) -> DepthMap | None:
        """The field ``depth``."""
        return self._get("depth", DepthMap)

    @property
    def normal(self) -> NormalMap | None:
        """The field ``normal``."""
        return self._get("normal", NormalMap)

    def _get(self, name: str, kind: type[F]) -> F | None:
        value = self.fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(
                f"the field {name!r} of {self.meta.path} is a {type(value).__name__}; a "
                f"{kind.__name__} has that name: choose another"
            )
        return value


@dataclass(frozen=True, slots=True)
class Dropped:
    """Stands in a batch for a sample that cannot be evaluated."""

    index: int  # in the dataset


@dataclass(slots=True, kw_only=True)
class Batch:
    """``B`` samples as tensors.

    ``batch["depth"]`` is a tensor of the annotations, ``"depth" in batch`` says whether there is
    one. What each field puts in, and in which shape, is said by its ``arrays``:

    - ``keypoints (B, K, 2)`` float32, input pixels; ``keypoints_visible (B, K)`` uint8
    - ``labels (B, H, W)`` uint8
    - ``depth (B, 1, H, W)`` float32; ``depth_valid (B, 1, H, W)`` bool
    - ``normal (B, 3, H, W)`` float32; ``normal_valid (B, 1, H, W)`` bool
    """

    image: Tensor  # (B, 3, H, W) uint8 RGB
    meta: list[Meta]
    tensors: dict[str, Tensor] = field(default_factory=dict)  # each (B, ...)
    gt: list[dict[str, Tensor]] | None = None  # a sample's at source size, on the CPU
    dropped: list[int] = field(default_factory=list)  # indices of samples that are missing here

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            given = ", ".join(self.tensors) or "images only"
            raise ValueError(f"{name!r} is asked for, but the dataset gives {given}")
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __len__(self) -> int:
        return len(self.meta)

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor, with the arguments of ``torch.Tensor.to``."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self) -> Batch:
        """Page-lock every tensor, so that copies to a GPU overlap with its work."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        tensors = {name: function(tensor) for name, tensor in self.tensors.items()}
        return replace(self, image=function(self.image), tensors=tensors)


def collate(items: Sequence[Sample | Dropped]) -> Batch:
    """Stack warped samples of one size into a ``Batch``, without those that were dropped.

    Where all were, the batch is empty: its images are ``(0, 3, 0, 0)``.

    Raises:
        ValueError: some samples carry an annotation that others lack.
    """
    samples = [item for item in items if isinstance(item, Sample)]
    dropped = [item.index for item in items if isinstance(item, Dropped)]
    if not samples:
        image = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        return Batch(image=image, meta=[], dropped=dropped)
    names = _names(samples)
    rows = [_arrays({name: s.fields[name] for name in names}) for s in samples]
    gts = [s.gt for s in samples if s.gt is not None]
    return Batch(
        image=_stack([s.image.pixels.transpose(2, 0, 1) for s in samples]),
        meta=[s.meta for s in samples],
        tensors={name: _stack([row[name] for row in rows]) for name in rows[0]},
        gt=[_to_tensors(_arrays(gt)) for gt in gts] if gts else None,
        dropped=dropped,
    )


def _names(samples: Sequence[Sample]) -> list[str]:
    """Return the names of the fields that all samples have."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.fields))
    for name in names:
        if missing := [s.meta.path for s in samples if name not in s.fields]:
            raise ValueError(f"these samples have no {name} while others do: {missing[:5]}")
    return names


def _arrays(fields: Mapping[str, Field]) -> dict[str, NDArray[Any]]:
    return {key: array for name, item in fields.items() for key, array in item.arrays(name).items()}


def _to_tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {k: torch.from_numpy(np.ascontiguousarray(array)) for k, array in arrays.items()}


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
