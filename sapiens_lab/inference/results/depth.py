"""``DepthResult``: the depth of every pixel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.results.result import Result
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.maps import color_depth, depth_bar, depth_span

_NUM_SAMPLED = 2**20  # pixels of which the range is taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthResult(Result):
    """A distance for every pixel."""

    task: ClassVar[str] = "depth"

    depth: NDArray[np.float32]  # (H, W), larger is farther; meters if metric
    kind: Literal["relative", "metric"]  # relative: 0 nearest, 1 farthest of the person
    person: NDArray[np.bool_] | None = None  # (H, W) where a task of parts has found one

    def __repr__(self) -> str:
        near, far = self.span()
        unit = " m" if self.kind == "metric" else ""
        return f"{self._title()}: {self.kind} depth {near:.3g} to {far:.3g}{unit})"

    def span(self) -> tuple[float, float]:
        """Return the nearest and the farthest depth but for half a percent of the pixels each."""
        step = max(1, int((self.depth.size / _NUM_SAMPLED) ** 0.5))
        depth, shown = self.depth[::step, ::step], self._shown()[::step, ::step]
        return depth_span(depth, shown) if shown.any() else depth_span(self.depth, self._shown())

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return ``depth (H, W)`` float32."""
        return {"depth": self.depth}

    def to_json(self) -> dict[str, Any]:
        """Return the kind of depth and its range."""
        near, far = self.span()
        return {"kind": self.kind, "near": round(near, 4), "far": round(far, 4)}

    def overlay(self) -> RGBImage:
        """Return depth from bright (near) to dark (far); gray outside the person, where known."""
        return color_depth(self.depth, self._shown(), self.span())

    def _shown(self) -> NDArray[np.bool_]:
        finite = np.isfinite(self.depth)
        if self.person is None or not (self.person & finite).any():
            return finite if finite.any() else np.ones_like(finite)
        return np.asarray(self.person & finite)

    def _legend(self, image: RGBImage) -> RGBImage:
        return np.hstack([image, depth_bar(self.span(), self.kind, image.shape[0])])
