"""The image and its annotations: how each moves with the image, and how it enters a batch.

An annotation is a ``Field``. Its class is all that is said about it: samples, transforms, batches
and ground truth go through the protocol, so a new modality is one class, here or anywhere.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.data import images
from sapiens_lab.geometry import Matrix

_NO_PAIRS = (
    "a flipped {what} has left and right exchanged, but its left/right pairs are not known; "
    "name them in the {source}, or take the flip out of the transforms"
)


class Field(Protocol):
    """An annotation of an image, under a name in ``Sample.fields``."""

    @property
    def can_flip(self) -> bool:
        """Whether it is known what left and right become under a horizontal flip."""

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> Field:
        """Return the annotation of the warped image.

        Args:
            matrix: ``(2, 3)``, source to output pixels. A negative determinant is a flip, which
                also exchanges what is named left and right.
            size: (height, width) of the output.
        """

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return what a batch holds of one sample, channels first, by name.

        Stacked over the samples in the input frame they are ``Batch.tensors``; of one sample in
        the source frame they are its ground truth.

        Args:
            name: of the field: a depth map called ``depth`` gives ``depth`` and ``depth_valid``.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image."""

    pixels: NDArray[np.uint8]  # (H, W, 3) RGB
    border: tuple[int, int, int] = (0, 0, 0)  # color outside the image

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def warp(
        self,
        matrix: Matrix,
        size: tuple[int, int],
        *,
        antialias: bool = False,
        replicate_edge: bool = False,
    ) -> Image:
        """Sample bilinearly; for ``antialias`` and ``replicate_edge`` see ``geometry.warp``."""
        pixels = geometry.warp(
            self.pixels,
            matrix,
            size,
            border=self.border,
            antialias=antialias,
            replicate_edge=replicate_edge,
        )
        return replace(self, pixels=pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    """An image as its file holds it, decoded when it is sampled and no finer than is needed.

    A JPEG of which only every second pixel would be used is decoded at half its size, and so on:
    large images cost a half or a third.
    """

    content: bytes  # of the file
    name: str  # for messages
    size: tuple[int, int]  # (height, width) in pixels
    border: tuple[int, int, int] = (0, 0, 0)  # color outside the image

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """``(H, W, 3)`` RGB, decoded at every access.

        Raises:
            CorruptImageError: the image is damaged; names it.
        """
        return images.decode(self.content, self.name)

    def warp(
        self,
        matrix: Matrix,
        size: tuple[int, int],
        *,
        antialias: bool = False,
        replicate_edge: bool = False,
    ) -> Image:
        """Decode and sample as ``Image.warp`` does.

        Raises:
            CorruptImageError: the image is damaged; names it.
        """
        reduce = self._reduction(matrix) if antialias else 1
        pixels = images.decode(self.content, self.name, reduce=reduce)
        # The smaller image covers whole blocks: the last ones hang over the right and lower edge.
        blocks = (pixels.shape[0] * reduce, pixels.shape[1] * reduce)
        enlarge = geometry.resize((pixels.shape[0], pixels.shape[1]), blocks)
        small = Image(pixels=pixels, border=self.border)
        return small.warp(
            geometry.compose(matrix, enlarge),
            size,
            antialias=antialias,
            replicate_edge=replicate_edge,
        )

    def _reduction(self, matrix: Matrix) -> int:
        """Return the coarsest decoding that still has a pixel for every pixel of the output."""
        if not images.is_jpeg(self.content):
            return 1  # other formats are decoded in full and then shrunk
        shrink = 1 / geometry.max_scale(matrix)
        return next((r for r in images.REDUCTIONS if r <= shrink), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypoints:
    """Named points of one person."""

    xy: NDArray[np.float32]  # (K, 2) pixels
    visible: NDArray[np.uint8]  # (K,) 0 unlabeled, 1 labeled but hidden, 2 visible
    flip_indices: (
        NDArray[np.int64] | None
    )  # (K,) the point that each becomes under a horizontal flip

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> Keypoints:
        """Move the points; those that leave the image keep their true place outside it.

        Raises:
            ValueError: the matrix flips and the left/right pairs are not known.
        """
        xy = geometry.apply(matrix, self.xy).astype(np.float32)
        if not geometry.is_flip(matrix):
            return replace(self, xy=xy)
        if self.flip_indices is None:
            raise ValueError(_NO_PAIRS.format(what="skeleton", source="skeleton's YAML"))
        return replace(self, xy=xy[self.flip_indices], visible=self.visible[self.flip_indices])

    @property
    def can_flip(self) -> bool:
        """Whether the left/right pairs are known."""
        return self.flip_indices is not None

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return ``(K, 2)`` float32 and, as ``<name>_visible``, ``(K,)`` uint8."""
        return {name: self.xy, f"{name}_visible": self.visible}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """A class id for every pixel."""

    ids: NDArray[np.uint8]  # (H, W)
    flip_indices: (
        NDArray[np.int64] | None
    )  # (C,) the class that each becomes under a horizontal flip
    ignore_index: int = 255

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> LabelMap:
        """Take the nearest pixel; what lies outside the image is ignored.

        Raises:
            ValueError: the matrix flips and the left/right pairs are not known.
        """
        ids = geometry.warp(self.ids, matrix, size, nearest=True, border=self.ignore_index)
        if not geometry.is_flip(matrix):
            return replace(self, ids=ids)
        if self.flip_indices is None:
            raise ValueError(_NO_PAIRS.format(what="part map", source="class list's YAML"))
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.flip_indices)] = self.flip_indices
        return replace(self, ids=table[ids])

    @property
    def can_flip(self) -> bool:
        """Whether the left/right pairs are known."""
        return self.flip_indices is not None

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return ``(H, W)`` uint8."""
        return {name: self.ids}


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMap:
    """Distance along the viewing axis; a value that is not finite is invalid."""

    can_flip: ClassVar[bool] = True

    depth: NDArray[np.float32]  # (H, W), larger is farther; in meters where the source is metric
    valid: NDArray[np.bool_]  # (H, W)

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> DepthMap:
        """Take the nearest pixel; what lies outside the image is invalid."""
        return DepthMap(
            depth=geometry.warp(self.depth, matrix, size, nearest=True),
            valid=warp_mask(self.valid, matrix, size),
        )

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return ``(1, H, W)`` float32 and, as ``<name>_valid``, ``(1, H, W)`` bool."""
        return masked_arrays(name, self.depth[None], self.valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalMap:
    """Direction of the surface in the camera's frame: x right, y down, z away from the viewer.

    A direction that is not finite is invalid.
    """

    can_flip: ClassVar[bool] = True

    normal: NDArray[np.float32]  # (H, W, 3) unit length where valid
    valid: NDArray[np.bool_]  # (H, W)

    def warp(self, matrix: Matrix, size: tuple[int, int]) -> NormalMap:
        """Take the nearest pixel and turn x and y as the image turns; a flip negates x."""
        normal = geometry.warp(self.normal, matrix, size, nearest=True)
        turn = np.eye(3, dtype=np.float32)
        turn[:2, :2] = geometry.rotation_part(matrix)
        return NormalMap(normal=normal @ turn.T, valid=warp_mask(self.valid, matrix, size))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return ``(3, H, W)`` float32 and, as ``<name>_valid``, ``(1, H, W)`` bool."""
        return masked_arrays(name, self.normal.transpose(2, 0, 1), self.valid)


def masked_arrays(
    name: str, values: NDArray[np.float32], valid: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Return values ``(C, H, W)`` and, as ``<name>_valid``, where they count ``(1, H, W)``.

    Files hold NaN and infinity where nothing was measured, whatever the mask beside them says: a
    pixel with such a value is invalid, and its values are 0.
    """
    finite = np.isfinite(values)
    if not finite.all():  # rare, and a look at every pixel takes longer
        everywhere = functools.reduce(np.logical_and, finite)
        values, valid = np.where(everywhere, values, np.float32(0)), valid & everywhere
    return {name: values, f"{name}_valid": valid[None]}


def warp_mask(mask: NDArray[np.bool_], matrix: Matrix, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Warp a mask ``(H, W)`` to the nearest pixel; what lies outside the image is false."""
    pixels = geometry.warp(mask.view(np.uint8), matrix, size, nearest=True)
    return pixels.view(np.bool_)
