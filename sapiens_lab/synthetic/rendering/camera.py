"""A pinhole camera: world meters to pixels, and how a 2x3 image matrix changes it.

Camera frame as in OpenCV: x right, y down, z forward. Integer pixel coordinates are pixel centers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.synthetic.rendering.arrays import F32, F64, product


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """``pixel ~ K (R x_world + t)``."""

    K: F64  # (3, 3) pixels
    R: F64  # (3, 3) world to camera; determinant -1 if the camera flips
    t: F64  # (3,) [m]
    size: tuple[int, int]  # (height, width)

    @property
    def is_flip(self) -> bool:
        """Whether left and right are exchanged in the image."""
        return bool(np.linalg.det(self.R) < 0)

    @property
    def center(self) -> F64:
        """The camera's position in the world, ``(3,)`` [m]."""
        return np.asarray(-self.R.T @ self.t)

    def transform(self, points: NDArray[Any]) -> F32:
        """Move world points ``(N, 3)`` to the camera frame."""
        return np.asarray(product(points, self.R.T) + self.t.astype(np.float32))

    def project(self, points: NDArray[Any]) -> tuple[F32, F32]:
        """Return pixels ``(N, 2)`` and depth ``(N,)`` [m] of world points ``(N, 3)``."""
        x = self.transform(points)
        z = x[:, 2]
        flat = x[:, :2] / np.where(np.abs(z) < 1e-6, 1e-6, z)[:, None]
        K = self.K.astype(np.float32)
        return product(flat, K[:2, :2].T) + K[:2, 2], z

    def rays(self, xy: NDArray[Any]) -> F32:
        """Return camera-frame directions ``(..., 3)`` with z = 1 through pixels ``(..., 2)``."""
        inverse = np.linalg.inv(self.K[:2, :2]).astype(np.float32)
        flat = product(np.asarray(xy, np.float32) - self.K[:2, 2].astype(np.float32), inverse.T)
        return np.concatenate([flat, np.ones_like(flat[..., :1])], -1)

    def warp(self, matrix: geometry.Matrix, size: tuple[int, int]) -> Camera:
        """Return the camera that sees the image as ``matrix (2, 3)`` warps it.

        The rotation (and flip) of the matrix goes into R, so normals in the camera's frame rotate
        with the image; its scale, shear and shift go into K.
        """
        rotation = np.eye(3)
        rotation[:2, :2] = geometry.rotation_part(matrix)
        K = np.vstack([matrix, (0.0, 0.0, 1.0)]) @ self.K @ rotation.T
        return Camera(K=K, R=rotation @ self.R, t=rotation @ self.t, size=size)
