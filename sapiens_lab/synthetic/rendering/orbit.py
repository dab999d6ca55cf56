"""Draw cameras around a person or a scan: from where, how near, and how much of it is shown.

Direction, distance and focal length vary as widely as in images of people, so that a model learns
the shape and not one camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.synthetic.rendering.arrays import F64, Rng, product
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.rotations import about_x, about_y, about_z

Framing = Literal["full", "upper", "head"]
Range = tuple[float, float]  # (low, high)

_FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head")
_FRAMING_PROBABILITIES = (0.6, 0.27, 0.13)
_CLOSEST = 0.35  # [m] from the camera to the nearest target
_BOUNDS = {
    "azimuth_deg": (-math.inf, math.inf),
    "elevation_deg": (-89.0, 89.0),
    "roll_deg": (-360.0, 360.0),
    "fov_deg": (1.0, 120.0),
    "fill": (0.05, 2.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Orbit:
    """Ranges (low, high) that cameras are drawn from, uniformly.

    ``None`` in place of a range draws as people are mostly photographed: three in four from the
    front, upright, at the height of the eyes or a little above. The focal length follows from the
    field of view, and the distance from how much of the image is filled.

    Args:
        azimuth_deg: 0 in front, 90 at the person's left.
        elevation_deg: positive looks down.
        roll_deg: about the line of sight.
        fov_deg: vertical field of view.
        fill: fraction of the image's height or width, whichever is filled more.
        off_center: the image is cut from a larger one, so the principal point lies anywhere and
            the targets a little off the center; otherwise both lie in the center.

    Raises:
        ValueError: the ends of a range are in the wrong order, or a camera cannot be there.
    """

    azimuth_deg: Range | None = (-180.0, 180.0)
    elevation_deg: Range | None = (-15.0, 45.0)
    roll_deg: Range | None = (-8.0, 8.0)
    fov_deg: Range | None = (18.0, 65.0)
    fill: Range | None = (0.6, 1.0)
    off_center: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges().items():
            if low > high:
                raise ValueError(f"{name} {low:g} {high:g}: give the lower end first")
            lowest, highest = _BOUNDS[name]
            if low < lowest or high > highest:
                what = name.removesuffix("_deg")
                raise ValueError(
                    f"{what} {low:g} to {high:g}: choose between {lowest:g} and {highest:g}"
                )

    def ranges(self) -> dict[str, Range]:
        """Return the ranges that are given, by name."""
        ends = {name: getattr(self, name) for name in _BOUNDS}
        return {name: value for name, value in ends.items() if value is not None}

    def sample(
        self, rng: Rng, targets: NDArray[Any], size: tuple[int, int]
    ) -> tuple[Camera, dict[str, float]]:
        """Draw a camera that looks at the points ``targets (N, 3)`` and fits them in.

        The draws do not depend on the size, so a scene looks alike at all sizes.

        Returns:
            The camera, and what was drawn from ranges, with the distance ``distance_m``.
        """
        given = self.ranges()
        usual = self.off_center or len(given) < len(_BOUNDS)
        view = _usual_viewpoint(rng) if usual else _Viewpoint()
        drawn = {name: float(rng.uniform(*ends)) for name, ends in given.items()}
        changes: dict[str, Any] = {
            name.removesuffix("_deg"): math.radians(value) if name.endswith("_deg") else value
            for name, value in drawn.items()
        }
        camera, distance = _place(replace(view, **changes), targets, size, self.off_center)
        return camera, {**drawn, "distance_m": distance}


AROUND = Orbit()
USUAL = Orbit(
    azimuth_deg=None, elevation_deg=None, roll_deg=None, fov_deg=None, fill=None, off_center=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Viewpoint:
    """Where a camera is; angles in radians, see `Orbit`."""

    azimuth: float = 0.0
    elevation: float = 0.0
    roll: float = 0.0
    fov: float = 0.0
    fill: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the targets off the center, in image sizes (x, y)


def choose_framing(rng: Rng) -> Framing:
    """Draw how much of the person to show."""
    return _FRAMINGS[int(rng.choice(len(_FRAMINGS), p=_FRAMING_PROBABILITIES))]


def _usual_viewpoint(rng: Rng) -> _Viewpoint:
    """Draw as people are mostly photographed."""
    fov = math.radians(rng.uniform(18, 65))
    frontal, free = rng.vonmises(0, 2.0), rng.uniform(-math.pi, math.pi)
    yaw = frontal if rng.random() < 0.75 else free
    return _Viewpoint(
        azimuth=-yaw,
        elevation=math.radians(float(np.clip(rng.normal(8, 12), -25, 55))),
        roll=math.radians(rng.normal(0, 4)),
        fov=fov,
        fill=rng.uniform(0.72, 1.0),
        shift=(rng.normal(0, 0.04), rng.normal(0, 0.04)),
    )


def _place(
    view: _Viewpoint, targets: NDArray[Any], size: tuple[int, int], off_center: bool
) -> tuple[Camera, float]:
    """Return the camera of a viewpoint and its distance [m] from the center of the targets."""
    height, width = size
    focal = 0.5 * height / math.tan(view.fov / 2)
    facing = np.diag([1.0, -1.0, -1.0])  # a camera in front of the person, looking along -z
    R = about_z(view.roll) @ about_x(view.elevation) @ facing @ about_y(-view.azimuth)
    center = (targets.min(0) + targets.max(0)).astype(np.float64) / 2
    around = product(targets - center, R.T).astype(np.float64)
    available = view.fill * np.array([width, height])
    principal = (np.array([width, height]) - 1) / 2
    if off_center:
        t = _back_off(around, focal, available)
        seen = _project(around, t, focal)
        principal = principal + np.array(view.shift) * (width, height)
        principal -= (seen.min(0) + seen.max(0)) / 2
    else:
        t = _back_off_centered(around, focal, available)
    K = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1]])
    return Camera(K=K, R=R, t=t - R @ center, size=size), float(t[2])


def _back_off(around: F64, focal: float, available: F64) -> F64:
    """Move the camera back from the targets until they fill what is available.

    Args:
        around: ``(N, 3)`` targets about their center, in the camera's orientation [m].
        focal: length in pixels.
        available: ``(2,)`` pixels (x, y).

    Returns:
        The place ``(3,)`` of the targets' center in the camera frame [m].
    """
    t = _first_guess(around, focal, available)
    for _ in range(3):  # the points nearer to the camera look larger
        t[2] *= float(np.max(np.ptp(_project(around, t, focal), axis=0) / available))
    t[2] = max(t[2], _nearest(around))
    return t


def _back_off_centered(around: F64, focal: float, available: F64) -> F64:
    """Do the same as `_back_off`, and move the camera sideways to center what it sees."""
    t = _first_guess(around, focal, available)
    for _ in range(6):
        t[2] = max(t[2], _nearest(around))
        seen = _project(around, t, focal)
        t[:2] -= (seen.min(0) + seen.max(0)) / 2 * t[2] / focal
        t[2] *= float(np.max(np.ptp(seen, axis=0) / available))
    t[2] = max(t[2], _nearest(around))
    return t


def _first_guess(around: F64, focal: float, available: F64) -> F64:
    """Return the distance that fits if all points are equally far, as a place ``(3,)``."""
    return np.array([0, 0, float(focal * np.max(np.ptp(around[:, :2], axis=0) / available))])


def _nearest(around: F64) -> float:
    """Return the smallest distance that leaves the camera room before the nearest point."""
    return _CLOSEST - float(around[:, 2].min())


def _project(around: F64, t: F64, focal: float) -> F64:
    """Return pixels ``(N, 2)`` from the principal point."""
    at = around + t
    return np.asarray(at[:, :2] * focal / np.maximum(at[:, 2:], 0.1))
