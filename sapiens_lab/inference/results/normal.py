"""``NormalResult``: the direction of the surface at every pixel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.results.result import Result
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.maps import color_normal, with_reference_sphere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalResult(Result):
    """A unit vector for every pixel: x right, y down, z away from the viewer."""

    task: ClassVar[str] = "normal"

    normal: NDArray[np.float32]  # (H, W, 3) of unit length
    person: NDArray[np.bool_] | None = None  # (H, W) where a task of parts has found one

    def __repr__(self) -> str:
        facing = float((self.normal[..., 2] < 0).mean())
        return f"{self._title()}: {facing:.0%} of the pixels face the camera)"

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return ``normal (H, W, 3)`` float32."""
        return {"normal": self.normal}

    def to_json(self) -> dict[str, Any]:
        """Return the frame of the vectors and their mean."""
        mean = self.normal.reshape(-1, 3).mean(0, dtype=np.float64)
        return {"frame": "opencv", "mean": mean.round(4).tolist()}

    def overlay(self) -> RGBImage:
        """Return normals in their usual colors; gray outside the person, where it is known."""
        shown = self._shown()
        out: RGBImage = np.empty_like(self.image)
        for top in range(0, len(out), 256):  # in bands: floats of a 4K frame would be 400 MB
            rows = slice(top, top + 256)
            out[rows] = color_normal(self.normal[rows], shown[rows])
        return out

    def _shown(self) -> NDArray[np.bool_]:
        if self.person is None or not self.person.any():
            return np.ones(self.normal.shape[:2], np.bool_)
        return self.person

    def _legend(self, image: RGBImage) -> RGBImage:
        return with_reference_sphere(image)
