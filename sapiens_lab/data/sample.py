"""``Sample`` (numpy, one person) and ``Batch`` (torch, many): the data contract of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sapiens_lab import geometry
from sapiens_lab.data.fields import DepthMap, EncodedImage, Image, Keypoints, LabelMap, NormalMap
from sapiens_lab.geometry import Matrix


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

    Geometric transforms multiply ``meta.matrix`` and move ``bbox``; the other fields stay in the
    source frame until ``Warp`` samples them.
    """

    image: Image | EncodedImage
    bbox: NDArray[np.float32]  # (4,) xyxy, already moved by meta.matrix
    meta: Meta
    keypoints: Keypoints | None = None
    labels: LabelMap | None = None
    depth: DepthMap | None = None
    normal: NormalMap | None = None
    source: Sample | None = None  # before ``Warp``: dense predictions are measured there

    def move(self, matrix: Matrix, bbox: NDArray[np.float32] | None = None) -> Sample:
        """Plan one more geometric step; ``bbox`` is the box after it (default: unchanged)."""
        meta = replace(self.meta, matrix=geometry.compose(matrix, self.meta.matrix))
        return replace(self, meta=meta, bbox=self.bbox if bbox is None else bbox)

    @property
    def can_flip(self) -> bool:
        """Whether every annotation knows what its left and right become under a horizontal flip."""
        swaps = (self.keypoints, self.labels)
        return all(item is None or item.flip_indices is not None for item in swaps)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Stands in a batch for a sample that cannot be evaluated."""

    index: int  # in the dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The maps of one sample at the size of its source image, against which it is measured."""

    labels: Tensor | None = None  # (H, W) uint8
    depth: Tensor | None = None  # (H, W) float32
    depth_valid: Tensor | None = None  # (H, W) bool
    normal: Tensor | None = None  # (3, H, W) float32
    normal_valid: Tensor | None = None  # (H, W) bool


@dataclass(slots=True, kw_only=True)
class Batch:
    """``B`` samples as tensors. A field that the data set does not have is ``None``."""

    image: Tensor  # (B, 3, H, W) uint8 RGB
    meta: list[Meta]
    keypoints: Tensor | None = None  # (B, K, 2) float32, input pixels
    visible: Tensor | None = None  # (B, K) uint8: 0 unlabeled, 1 hidden, 2 visible
    labels: Tensor | None = None  # (B, H, W) uint8
    depth: Tensor | None = None  # (B, 1, H, W) float32
    depth_valid: Tensor | None = None  # (B, 1, H, W) bool
    normal: Tensor | None = None  # (B, 3, H, W) float32
    normal_valid: Tensor | None = None  # (B, 1, H, W) bool
    truth: list[Truth] | None = None  # at source size, on the CPU; in evaluation only
    dropped: list[int] = field(default_factory=list)  # indices of samples that are missing here

    def __len__(self) -> int:
        return len(self.meta)

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor, with the arguments of ``torch.Tensor.to``."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self) -> Batch:
        """Page-lock every tensor, so that copies to a GPU overlap with its work."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Any) -> Batch:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: function(v) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)


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
    batch = Batch(
        image=_stack([s.image.pixels.transpose(2, 0, 1) for s in samples]),
        meta=[s.meta for s in samples],
        dropped=dropped,
    )
    if points := _present(samples, "keypoints"):
        batch.keypoints = _stack([p.xy for p in points])
        batch.visible = _stack([p.visible for p in points])
    if labels := _present(samples, "labels"):
        batch.labels = _stack([m.ids for m in labels])
    if depths := _present(samples, "depth"):
        batch.depth = _stack([m.depth[None] for m in depths])
        batch.depth_valid = _stack([m.valid[None] for m in depths])
    if normals := _present(samples, "normal"):
        batch.normal = _stack([m.normal.transpose(2, 0, 1) for m in normals])
        batch.normal_valid = _stack([m.valid[None] for m in normals])
    if sources := _present(samples, "source"):
        batch.truth = [_truth(source) for source in sources]
    return batch


def _truth(source: Sample) -> Truth:
    maps: dict[str, Tensor] = {}
    if source.labels is not None:
        maps["labels"] = torch.from_numpy(source.labels.ids)
    if source.depth is not None:
        maps["depth"] = torch.from_numpy(source.depth.depth)
        maps["depth_valid"] = torch.from_numpy(source.depth.valid)
    if source.normal is not None:
        planes = np.ascontiguousarray(source.normal.normal.transpose(2, 0, 1))
        maps["normal"] = torch.from_numpy(planes)
        maps["normal_valid"] = torch.from_numpy(source.normal.valid)
    return Truth(**maps)


def _present(samples: Sequence[Sample], name: str) -> list[Any]:
    values = [getattr(sample, name) for sample in samples]
    missing = [s.meta.path for s, value in zip(samples, values, strict=True) if value is None]
    if missing and len(missing) < len(samples):
        raise ValueError(f"these samples have no {name} while others do: {missing[:5]}")
    return [] if missing else values


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
