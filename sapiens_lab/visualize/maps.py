"""Images of dense maps: parts in their colors, depth as warmth, normals as a lit surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.sample import Batch
from sapiens_lab.visualize.pose import TITLES, ImageArray, View, input_image

_OUTSIDE = 100  # pixel value of what is not the person (sapiens_v1, 8.4)


def color_parts(ids: NDArray[Any], parts: Parts) -> ImageArray:
    """Return class ids ``(H, W)`` in the list's colors; ignored pixels are white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: parts.num_classes] = parts.colors
    colored: ImageArray = table[ids]
    return colored


def color_depth(depth: NDArray[Any], valid: NDArray[np.bool_]) -> ImageArray:
    """Return depth ``(H, W)`` from bright (near) to dark (far), over the valid pixels' range.

    The range leaves out half a percent at either end, so that one wild pixel does not take all the
    contrast.
    """
    shown = np.full((*depth.shape, 3), _OUTSIDE, np.uint8)
    if valid.any():
        near, far = np.percentile(depth[valid], (0.5, 99.5))
        share = np.clip((depth - near) / max(far - near, 1e-9), 0, 1)
        levels = np.nan_to_num(255 * (1 - share)).astype(np.uint8)
        colors = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
        shown[valid] = colors[valid]
    return shown


def color_normal(normal: NDArray[Any], valid: NDArray[np.bool_]) -> ImageArray:
    """Return normals ``(H, W, 3)`` as ``(n + 1) / 2`` of right, up and toward the viewer.

    So a surface that faces the camera is light blue, as people know normal maps; in our frame its
    vector is ``(0, 0, -1)``.
    """
    usual = normal * np.array([1.0, -1.0, -1.0])
    levels = np.clip((usual + 1) * 127.5, 0, 255).astype(np.uint8)
    shown = np.full(levels.shape, _OUTSIDE, np.uint8)
    shown[valid] = levels[valid]
    return shown


def reference_sphere(diameter: int) -> tuple[ImageArray, NDArray[np.bool_]]:
    """Return a ball in the colors of its normals ``(d, d, 3)``, and where it is."""
    y, x = (np.indices((diameter, diameter)) + 0.5) * 2 / diameter - 1
    inside = np.asarray(x * x + y * y < 1)
    z = -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    return color_normal(np.stack([x, y, z], -1), inside), inside


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapView:
    """What the views of maps share: the image, and the size at which it is shown."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    min_height: int = 256  # smaller images are enlarged
    max_height: int = 512  # larger ones are reduced, or a grid would fill the disk

    def plain(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` as the network sees it."""
        return self._resized(input_image(batch, index))

    def _resized(self, image: ImageArray) -> ImageArray:
        height, width = image.shape[:2]
        shown = min(max(height, self.min_height), self.max_height)
        how = cv2.INTER_LINEAR if shown > height else cv2.INTER_AREA
        size = (round(width * shown / height), shown)
        return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsView(_MapView):
    """Part colors over the image."""

    parts: str | Parts
    opacity: float = 0.65

    def target(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` under its labels."""
        assert batch.labels is not None
        return self._draw(batch, index, batch.labels[index].cpu().numpy().astype(np.uint8))

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return sample ``index`` under the predicted labels."""
        return self._draw(batch, index, _to_input(batch, index, prediction.labels))

    def _draw(self, batch: Batch, index: int, ids: NDArray[np.uint8]) -> ImageArray:
        colors = color_parts(ids, Parts.load(self.parts)).astype(np.float32)
        alpha = np.where(ids > 0, self.opacity, 0.0)[..., None]
        mixed = alpha * colors + (1 - alpha) * input_image(batch, index)
        return self._resized(mixed.round().astype(np.uint8))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthView(_MapView):
    """Depth of the person, near bright; a prediction is shown where the truth is known."""

    def target(self, batch: Batch, index: int) -> ImageArray:
        """Return the true depth of sample ``index``."""
        assert batch.depth is not None
        return self._resized(color_depth(batch.depth[index, 0].cpu().numpy(), _valid(batch, index)))

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return the predicted depth of sample ``index``."""
        depth = _to_input(batch, index, prediction.depth)
        return self._resized(color_depth(depth, _valid(batch, index)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalView(_MapView):
    """Normals of the person beside a ball that shows the frame; see ``color_normal``."""

    def target(self, batch: Batch, index: int) -> ImageArray:
        """Return the true normals of sample ``index``."""
        assert batch.normal is not None
        return self._draw(batch.normal[index].cpu().numpy().transpose(1, 2, 0), batch, index)

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return the predicted normals of sample ``index``."""
        return self._draw(_to_input(batch, index, prediction.normal.permute(1, 2, 0)), batch, index)

    def _draw(self, normal: NDArray[Any], batch: Batch, index: int) -> ImageArray:
        assert batch.normal_valid is not None
        valid = batch.normal_valid[index, 0].cpu().numpy()
        image = self._resized(color_normal(normal, valid))
        ball, inside = reference_sphere(image.shape[0] // 8)
        corner = image[-ball.shape[0] :, -ball.shape[1] :]
        corner[inside] = ball[inside]
        return image


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionView(_MapView):
    """What a masked autoencoder was shown, what it made of it, and that pasted into the gaps."""

    titles: ClassVar[tuple[str, ...]] = ("input", "shown | reconstructed | pasted")

    def target(self, batch: Batch, index: int) -> None:
        """Return nothing: the image is its own truth."""

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return what was visible, the reconstruction, and the hidden patches pasted."""
        layers = (prediction.masked, prediction.reconstructed, prediction.pasted)
        return np.hstack(
            [self._resized(layer.permute(1, 2, 0).cpu().numpy().copy()) for layer in layers]
        )


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The views of several tasks in one row; a prediction is a dictionary by the same names."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    views: Mapping[str, View]

    def plain(self, batch: Batch, index: int) -> ImageArray:
        """Return sample ``index`` as the network sees it, once."""
        return next(iter(self.views.values())).plain(batch, index)

    def target(self, batch: Batch, index: int) -> ImageArray:
        """Return every truth of sample ``index``."""
        truths = [view.target(batch, index) for view in self.views.values()]
        return np.hstack([truth for truth in truths if truth is not None])

    def prediction(self, batch: Batch, index: int, prediction: Any) -> ImageArray:
        """Return every prediction of sample ``index``."""
        return np.hstack(
            [view.prediction(batch, index, prediction[name]) for name, view in self.views.items()]
        )


def _valid(batch: Batch, index: int) -> NDArray[np.bool_]:
    assert batch.depth_valid is not None
    valid: NDArray[np.bool_] = batch.depth_valid[index, 0].cpu().numpy()
    return valid


def _to_input(batch: Batch, index: int, source_map: Any) -> NDArray[Any]:
    """Move a predicted map ``(H, W)`` or ``(H, W, C)`` from the source image to the input."""
    size = (batch.image.shape[-2], batch.image.shape[-1])
    values = np.ascontiguousarray(source_map.cpu().numpy())
    return geometry.warp(values, batch.meta[index].matrix, size, nearest=True)
