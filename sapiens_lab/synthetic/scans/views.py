"""Numbered views of a scan through cameras around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from sapiens_lab.synthetic.rendering.arrays import F32
from sapiens_lab.synthetic.rendering.orbit import AROUND, Framing, Orbit, choose_framing
from sapiens_lab.synthetic.rendering.streams import Streams
from sapiens_lab.synthetic.rendering.view import View
from sapiens_lab.synthetic.scans.render import render_scan
from sapiens_lab.synthetic.scans.scan import Scan

SCAN_VERSION = 1  # raise it whenever the same seed gives another image
_LOWEST = {"upper": 0.5, "head": 0.86}  # fraction of the height where a close-up begins
_MIN_VERTICES = 100  # of a close-up; with fewer the whole scan is shown


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
    orbit: Orbit = AROUND
    close_ups: bool = True

    @property
    def labeled(self) -> bool:
        """The parts and keypoints of a scan are not known."""
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
            "orbit": self.orbit.ranges(),
            "close_ups": self.close_ups,
        }

    def view(self, index: int) -> View:
        """Render view number ``index``."""
        streams = Streams((self.seed, index))
        framing = choose_framing(streams.get("framing")) if self.close_ups else "full"
        targets, framing = _targets(self.scan, framing)
        camera, drawn = self.orbit.sample(streams.get("camera"), targets, self.image_size)
        view = render_scan(self.scan, camera, streams, supersample=self.supersample)
        return replace(view, facts={"view": {"framing": framing, **drawn}})


def _targets(scan: Scan, framing: Framing) -> tuple[F32, Framing]:
    """Return the points to show, and their framing: a coarse mesh is shown whole."""
    points = scan.vertices
    if framing != "full":
        shown = points[points[:, 1] > _LOWEST[framing] * points[:, 1].max()]
        if len(shown) >= _MIN_VERTICES:
            return shown, framing
    return points, "full"
