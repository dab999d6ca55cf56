"""Images of dense maps: parts in their colors, depth as warmth, normals as a lit surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Count, Fraction
from sapiens_lab.visualize.image import RGBImage, add_caption, fit_height
from sapiens_lab.visualize.legend import class_legend, color_bar
from sapiens_lab.visualize.view import TITLES, beside, input_image

_OUTSIDE = 100  # pixel value of what is not the person (sapiens_v1, 8.4)
_HEAT: RGBImage = cv2.applyColorMap(  # (256, 3) dark to bright
    np.arange(256, dtype=np.uint8).reshape(256, 1), cv2.COLORMAP_INFERNO
)[:, 0, ::-1].copy()
_BEYOND = 0.05  # fraction of the range beyond either end of it that still counts as inside
_MANY = 0.05  # fraction of pixels outside the range from which a caption says so


def color_parts(ids: NDArray[Any], parts: Parts) -> RGBImage:
    """Return class ids ``(H, W)`` in the list's colors; ignored pixels are white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: parts.num_classes] = parts.colors
    colored: RGBImage = table[ids]
    return colored


def color_depth(
    depth: NDArray[Any], valid: NDArray[np.bool_], span: tuple[float, float] | None = None
) -> RGBImage:
    """Return depth ``(H, W)`` from bright (near) to dark (far) over the valid pixels.

    Args:
        depth: larger is farther.
        valid: ``(H, W)``; the other pixels are gray.
        span: depths of the brightest and the darkest color, by default `depth_span`.
    """
    image = np.full((*depth.shape, 3), _OUTSIDE, np.uint8)
    if valid.any():
        near, far = span or depth_span(depth, valid)
        fraction = np.clip((depth - near) / max(far - near, 1e-9), 0, 1)
        levels = np.nan_to_num(255 * (1 - fraction)).astype(np.uint8)
        image[valid] = _HEAT[levels[valid]]
    return image


def depth_span(depth: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the nearest and the farthest depth, but for half a percent of the pixels each.

    So one wild pixel does not take all the contrast.
    """
    near, far = np.percentile(depth[valid], (0.5, 99.5))
    return float(near), float(far)


def color_normal(normal: NDArray[Any], valid: NDArray[np.bool_]) -> RGBImage:
    """Return normals ``(H, W, 3)`` as ``(n + 1) / 2`` of right, up and toward the viewer.

    So a surface that faces the camera is light blue, as people know normal maps; in our frame its
    vector is ``(0, 0, -1)``.
    """
    usual = normal * np.array([1.0, -1.0, -1.0])
    levels = np.clip((usual + 1) * 127.5, 0, 255).astype(np.uint8)
    image = np.full(levels.shape, _OUTSIDE, np.uint8)
    image[valid] = levels[valid]
    return image


def reference_sphere(diameter: int) -> tuple[RGBImage, NDArray[np.bool_]]:
    """Return a ball in the colors of its normals ``(d, d, 3)``, and where it is."""
    y, x = (np.indices((diameter, diameter)) + 0.5) * 2 / diameter - 1
    inside = np.asarray(x * x + y * y < 1)
    z = -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    return color_normal(np.stack([x, y, z], -1), inside), inside


def with_reference_sphere(image: RGBImage) -> RGBImage:
    """Return an image with a ball in its lower right corner that shows the colors of normals."""
    out: RGBImage = image.copy()
    ball, inside = reference_sphere(min(image.shape[0] // 8, image.shape[1]))
    corner = out[-ball.shape[0] :, -ball.shape[1] :]
    corner[inside] = ball[inside]
    return out


def depth_bar(
    span: tuple[float, float], kind: Literal["relative", "metric"], height: int
) -> RGBImage:
    """Return a panel ``(height, W, 3)`` with the colors of ``color_depth`` and what they mean.

    Args:
        span: depths of the brightest and the darkest color.
        kind: ``metric`` labels the bar in meters, ``relative`` by 0 (near) to 1 (far).
        height: rows of the panel.
    """
    labels = [f"{value:.2f} m" for value in np.linspace(*span, 5)]
    if kind == "relative":
        labels = ["0 near", "0.5", "1 far"]
        if span != (0.0, 1.0):
            labels = [f"{value:.2f}" for value in np.linspace(*span, 5)]
            labels[0], labels[-1] = f"{labels[0]} near", f"{labels[-1]} far"
    return color_bar(_HEAT[::-1], labels, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapView:
    """What the views of maps share: the image, and the size at which it is shown."""

    titles: ClassVar[tuple[str, ...]] = TITLES

    min_height: Count = 256  # smaller images are enlarged
    max_height: Count = 512  # larger ones are reduced, or a grid would fill the disk

    def plain(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` as the network sees it."""
        return self._fit(input_image(batch, index))

    def _fit(self, image: RGBImage) -> RGBImage:
        return fit_height(image, self.min_height, self.max_height)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsView(_MapView):
    """Part colors over the image, with a legend of the classes in it.

    The legend of a prediction also lists the classes that only the ground truth has.
    """

    parts: str | Parts
    opacity: Fraction = 0.65

    def target(self, batch: Batch, index: int) -> RGBImage:
        """Return sample ``index`` under its labels."""
        ids = self._labels(batch, index)
        return self._draw(batch, index, ids, np.unique(ids))

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return sample ``index`` under the predicted labels."""
        ids = _to_input(batch, index, prediction.labels).astype(np.uint8)
        present = np.union1d(ids, self._labels(batch, index)) if "labels" in batch else ids
        return self._draw(batch, index, ids, np.unique(present))

    def _labels(self, batch: Batch, index: int) -> NDArray[np.uint8]:
        return np.asarray(batch["labels"][index].cpu().numpy(), np.uint8)

    def _draw(
        self, batch: Batch, index: int, ids: NDArray[np.uint8], present: NDArray[np.uint8]
    ) -> RGBImage:
        parts = Parts.load(self.parts)
        colors = color_parts(ids, parts).astype(np.float32)
        alpha = np.where(ids > 0, self.opacity, 0.0)[..., None]
        mixed = alpha * colors + (1 - alpha) * input_image(batch, index)
        image = self._fit(mixed.round().astype(np.uint8))
        listed = [i for i in present.tolist() if i > 0]  # the background keeps its own colors
        names = [parts.classes[i] if i < parts.num_classes else "ignored" for i in listed]
        swatches = [tuple(c) for c in color_parts(np.array(listed, np.uint8), parts).tolist()]
        legend = class_legend(names, swatches, image.shape[0], all_names=parts.classes)
        return np.hstack([image, legend])


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthView(_MapView):
    """Depth of the person, near bright, beside a bar of its colors.

    A prediction is drawn where the ground truth is known and in the ground truth's range, so equal
    colors are equal depths.

    Args:
        kind: of the task: ``relative`` draws 0 (nearest) to 1 (farthest), ``metric`` meters.
    """

    kind: Literal["relative", "metric"]

    def __post_init__(self) -> None:
        if self.kind not in ("relative", "metric"):
            raise ValueError(f"DepthView.kind={self.kind!r}: choose relative or metric")

    def target(self, batch: Batch, index: int) -> RGBImage:
        """Return the true depth of sample ``index``."""
        depth, valid = _true_depth(batch, index)
        if self.kind == "relative" and valid.any():
            near, far = depth[valid].min(), depth[valid].max()
            depth = (depth - near) / max(far - near, 1e-9)
        return self._draw(depth, valid, self._span(batch, index))

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return the predicted depth of sample ``index``; a caption says if much is off the bar."""
        depth = _to_input(batch, index, prediction.depth)
        _, valid = _true_depth(batch, index)
        near, far = self._span(batch, index)
        seen, margin = depth[valid], _BEYOND * (far - near)
        off = (seen < near - margin) | (seen > far + margin)
        outside = float(off.mean()) if valid.any() else 0.0
        caption = f"{outside:.0%} outside the bar's range" if outside > _MANY else ""
        return self._draw(depth, valid, (near, far), caption)

    def _span(self, batch: Batch, index: int) -> tuple[float, float]:
        depth, valid = _true_depth(batch, index)
        return depth_span(depth, valid) if self.kind == "metric" and valid.any() else (0.0, 1.0)

    def _draw(
        self,
        depth: NDArray[Any],
        valid: NDArray[np.bool_],
        span: tuple[float, float],
        caption: str = "",
    ) -> RGBImage:
        image = self._fit(color_depth(depth, valid, span))
        if not valid.any():
            caption = "no pixel with a known depth"
        image = add_caption(image, caption) if caption else image
        return np.hstack([image, depth_bar(span, self.kind, image.shape[0])])


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalView(_MapView):
    """Normals of the person beside a ball that shows the frame; see ``color_normal``."""

    def target(self, batch: Batch, index: int) -> RGBImage:
        """Return the true normals of sample ``index``."""
        return self._draw(batch["normal"][index].cpu().numpy().transpose(1, 2, 0), batch, index)

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return the predicted normals of sample ``index``."""
        return self._draw(_to_input(batch, index, prediction.normal.permute(1, 2, 0)), batch, index)

    def _draw(self, normal: NDArray[Any], batch: Batch, index: int) -> RGBImage:
        valid = batch["normal_valid"][index, 0].cpu().numpy()
        return with_reference_sphere(self._fit(color_normal(normal, valid)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionView(_MapView):
    """What a masked autoencoder sees, its reconstruction, and that in the masked patches alone."""

    titles: ClassVar[tuple[str, ...]] = ("input", "visible | reconstructed | pasted")

    def target(self, batch: Batch, index: int) -> None:
        """Return nothing: the image is its own target."""

    def prediction(self, batch: Batch, index: int, prediction: Any) -> RGBImage:
        """Return what was visible, the reconstruction, and that pasted into the masked patches."""
        layers = (prediction.masked, prediction.reconstructed, prediction.pasted)
        return beside([self._fit(layer.permute(1, 2, 0).cpu().numpy().copy()) for layer in layers])


def _true_depth(batch: Batch, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return depth ``(H, W)`` of a sample and where it is known."""
    depth, valid = batch["depth"][index, 0], batch["depth_valid"][index, 0]
    return depth.cpu().numpy(), valid.cpu().numpy()


def _to_input(batch: Batch, index: int, source_map: Any) -> NDArray[Any]:
    """Move a predicted map ``(H, W)`` or ``(H, W, C)`` from the source image to the input."""
    size = (batch.image.shape[-2], batch.image.shape[-1])
    values = np.ascontiguousarray(source_map.cpu().numpy())
    return geometry.warp(values, batch.meta[index].matrix, size, nearest=True)
