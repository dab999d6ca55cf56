"""Virtual cameras around a scan, and the views through them.

Distance, direction and focal length vary as widely as in images of people, so that a depth model
learns the shape and not one camera.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, F64, Rng, product
from sapiens_lab.synthetic.rendering.camera import Camera, Framing, check_range, choose_framing
from sapiens_lab.synthetic.rendering.rotations import about_x, about_y, about_z
from sapiens_lab.synthetic.rendering.streams import Streams
from sapiens_lab.synthetic.rendering.view import View
from sapiens_lab.synthetic.scans.render import render_scan
from sapiens_lab.synthetic.scans.scan import Scan

SCAN_VERSION = 1  # raise it whenever the same seed gives another image
_CLOSEST = 0.35  # [m] from the camera to the nearest point to be framed
_FROM = {
    "upper": 0.5,
    "head": 0.86,
}  # fraction of the height from which on a close-up shows a person
_FEWEST = 100  # vertices that say where a close-up looks; with fewer the whole scan is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Orbit:
    """Ranges (low, high), drawn from uniformly, of cameras around a scan.

    The focal length is half the image's height over the tangent of half the field of view. The
    distance follows from it: the farther, the smaller the fraction of the image that is filled.
    """

    azimuth_deg: tuple[float, float] = (-180.0, 180.0)  # 0 in front, 90 at the person's left
    elevation_deg: tuple[float, float] = (-15.0, 45.0)  # positive looks down
    roll_deg: tuple[float, float] = (-8.0, 8.0)
    fov_deg: tuple[float, float] = (18.0, 65.0)  # vertical
    fill: tuple[float, float] = (0.6, 1.0)  # fraction of the image's height or width

    def __post_init__(self) -> None:
        for name, ends in asdict(self).items():
            check_range(name, ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanViews:
    """Views of one scan.

    Args:
        scan: what to show.
        image_size: (height, width).
        seed: of cameras, light and background; view ``i`` depends on it and ``i`` alone.
        supersample: 2 smooths the edges of the image.
        orbit: where cameras stand.
        close_ups: also show the upper half or the head alone, as often as with rendered people.
    """

    scan: Scan
    image_size: tuple[int, int]
    seed: int = 0
    supersample: Literal[1, 2] = 2
    orbit: Orbit = Orbit()
    close_ups: bool = True

    @property
    def labeled(self) -> bool:
        """Nobody knows the parts and keypoints of a scan."""
        return False

    def settings(self) -> dict[str, Any]:
        """Return everything that decides what the views look like."""
        return {
            "source": "scan",
            "renderer": SCAN_VERSION,
            "mesh": self.scan.name,
            "sha256": self.scan.sha256,
            "placement": self.scan.placement.tolist(),
            "image_size": self.image_size,
            "seed": self.seed,
            "supersample": self.supersample,
            "orbit": asdict(self.orbit),
            "close_ups": self.close_ups,
        }

    def view(self, index: int) -> View:
        """Render view number ``index``."""
        streams = Streams((self.seed, index))
        framing = choose_framing(streams.get("framing")) if self.close_ups else "full"
        targets, framing = _targets(self.scan, framing)
        camera, drawn = sample_camera(streams.get("camera"), targets, self.image_size, self.orbit)
        view = render_scan(self.scan, camera, streams, supersample=self.supersample)
        return replace(view, facts={"view": {"framing": framing, **drawn}})


def sample_camera(
    rng: Rng, targets: F32, size: tuple[int, int], orbit: Orbit
) -> tuple[Camera, dict[str, float]]:
    """Draw a camera that looks at the points ``targets (N, 3)``, and say what was drawn.

    The principal point is the middle of the image. The camera is moved, not the image, until
    the points lie in the middle and fill the share that was drawn.
    """
    drawn = {name: float(rng.uniform(*ends)) for name, ends in asdict(orbit).items()}
    azimuth, elevation, roll, fov = (
        math.radians(drawn[f"{name}_deg"]) for name in ("azimuth", "elevation", "roll", "fov")
    )
    height, width = size
    focal = 0.5 * height / math.tan(fov / 2)
    facing = np.diag([1.0, -1.0, -1.0])  # a camera in front of the person, looking along -z
    R = about_z(roll) @ about_x(elevation) @ facing @ about_y(-azimuth)
    middle = (targets.min(0) + targets.max(0)).astype(np.float64) / 2
    around = product(targets - middle, R.T).astype(np.float64)
    available = drawn["fill"] * np.array([width, height])
    t = np.array([0, 0, float(focal * np.max(np.ptp(around[:, :2], axis=0) / available))])
    nearest = _CLOSEST - float(around[:, 2].min())
    for _ in range(6):  # the points nearer to the camera look larger
        t[2] = max(t[2], nearest)
        seen = _seen(around, t, focal)
        t[:2] -= (seen.min(0) + seen.max(0)) / 2 * t[2] / focal
        t[2] *= float(np.max(np.ptp(seen, axis=0) / available))
    t[2] = max(t[2], nearest)
    drawn["distance_m"] = float(t[2])
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return Camera(K=K, R=R, t=t - R @ middle, size=size), drawn


def _targets(scan: Scan, framing: Framing) -> tuple[F32, Framing]:
    """Return the points to be shown, and what they show: a coarse mesh is shown whole."""
    points = scan.vertices
    if framing != "full":
        shown = points[points[:, 1] > _FROM[framing] * points[:, 1].max()]
        if len(shown) >= _FEWEST:
            return shown, framing
    return points, "full"


def _seen(around: F64, t: F64, focal: float) -> F64:
    """Return pixels ``(N, 2)`` from the principal point."""
    at = around + t
    return np.asarray(at[:, :2] * focal / np.maximum(at[:, 2:], 0.1))
