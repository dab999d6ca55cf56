"""A pinhole camera: world meters to pixels, and how a 2x3 image matrix changes it.

Camera frame as in OpenCV: x right, y down, z forward. Integer pixel coordinates are pixel centers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.synthetic.rendering.arrays import F32, F64, Rng, product
from sapiens_lab.synthetic.rendering.rotations import about_x, about_y, about_z

Framing = Literal["full", "upper", "head"]
_FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head")
_FRAMING_SHARES = (0.6, 0.27, 0.13)
_CLOSEST = 0.35  # [m] from the camera to the nearest thing to be framed
_BOUNDS = {  # of the ranges that cameras are drawn from
    "elevation_deg": (-89.0, 89.0),  # negative looks up
    "roll_deg": (-360.0, 360.0),
    "fov_deg": (1.0, 120.0),
    "fill": (0.05, 2.0),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """``pixel ~ K (R x_world + t)``."""

    K: F64  # (3, 3) pixels
    R: F64  # (3, 3) world to camera; determinant -1 if the camera flips
    t: F64  # (3,) [m]
    size: tuple[int, int]  # (height, width)

    @property
    def is_flip(self) -> bool:
        """Whether left and right change places in the image."""
        return bool(np.linalg.det(self.R) < 0)

    @property
    def center(self) -> F64:
        """Where the camera stands in the world, ``(3,)``."""
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

        The turn (and flip) of the matrix goes into R, so normals in the camera's frame turn
        with the image; the rest of it goes into K.
        """
        turn = np.eye(3)
        turn[:2, :2] = geometry.rotation_part(matrix)
        K = np.vstack([matrix, (0.0, 0.0, 1.0)]) @ self.K @ turn.T
        return Camera(K=K, R=turn @ self.R, t=turn @ self.t, size=size)


def check_range(name: str, ends: tuple[float, float]) -> None:
    """Refuse a range (low, high) of camera settings that makes no sense.

    Raises:
        ValueError: the ends are the wrong way round, or a camera cannot be there.
    """
    low, high = ends
    if low > high:
        raise ValueError(f"{name} {low:g} {high:g}: give the lower end first")
    lowest, highest = _BOUNDS.get(name, (-math.inf, math.inf))
    if low < lowest or high > highest:
        what = name.removesuffix("_deg")
        raise ValueError(f"{what} {low:g} to {high:g}: choose between {lowest:g} and {highest:g}")


def choose_framing(rng: Rng) -> Framing:
    """Draw how much of the person to show."""
    return _FRAMINGS[int(rng.choice(len(_FRAMINGS), p=_FRAMING_SHARES))]


def sample_camera(
    rng: Rng,
    targets: NDArray[Any],
    size: tuple[int, int],
    *,
    elevation_deg: tuple[float, float] | None = None,
    roll_deg: tuple[float, float] | None = None,
) -> Camera:
    """Draw a camera that looks at the person and fits the points ``targets (N, 3)`` in.

    The same numbers are drawn whatever the size, so a scene looks alike at all of them. Most
    cameras stand upright at the height of a person's eyes or a little above. ``elevation_deg`` and
    ``roll_deg`` give ranges (low, high) instead, drawn from uniformly, of the angle at which they
    look down and of the turn about the line of sight.
    """
    height, width = size
    focal = 0.5 * height / math.tan(math.radians(rng.uniform(18, 65)) / 2)
    frontal, free = rng.vonmises(0, 2.0), rng.uniform(-math.pi, math.pi)
    yaw = frontal if rng.random() < 0.75 else free
    pitch = math.radians(float(np.clip(rng.normal(8, 12), -25, 55)))
    roll = math.radians(rng.normal(0, 4))
    fill = rng.uniform(0.72, 1.0)
    shift = rng.normal(0, 0.04, 2)
    if elevation_deg is not None:
        pitch = math.radians(rng.uniform(*elevation_deg))
    if roll_deg is not None:
        roll = math.radians(rng.uniform(*roll_deg))

    facing = np.diag([1.0, -1.0, -1.0])  # a camera in front of the person, looking along -z
    R = about_z(roll) @ about_x(pitch) @ facing @ about_y(yaw)
    middle = (targets.min(0) + targets.max(0)).astype(np.float64) / 2
    around = product(targets - middle, R.T).astype(np.float64)
    available = fill * np.array([width, height])
    distance = float(focal * np.max(np.ptp(around[:, :2], axis=0) / available))
    for _ in range(3):  # the points nearer to the camera look larger
        distance *= float(np.max(np.ptp(_seen(around, distance, focal), axis=0) / available))
    distance = max(distance, _CLOSEST - float(around[:, 2].min()))
    seen = _seen(around, distance, focal)
    center = (np.array([width, height]) - 1) / 2 + shift * (width, height)
    center -= (seen.min(0) + seen.max(0)) / 2
    K = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1]])
    return Camera(K=K, R=R, t=np.array([0, 0, distance]) - R @ middle, size=size)


def _seen(around: F64, distance: float, focal: float) -> F64:
    """Return pixels ``(N, 2)``, from the principal point, of points at a distance [m]."""
    z = np.maximum(around[:, 2:] + distance, 0.1)
    return np.asarray(around[:, :2] * focal / z)
