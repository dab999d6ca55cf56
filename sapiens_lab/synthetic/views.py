"""Views to be written as files: what one camera sees of a rendered person or of a scan.

People and scans differ in what is known about them (a scan has neither parts nor keypoints); the
files do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sapiens_lab.synthetic.arrays import F32, U8, Bool
from sapiens_lab.synthetic.cache import SceneSource
from sapiens_lab.synthetic.camera import Camera
from sapiens_lab.synthetic.scene import VERSION

SPLITS = ("train", "val", "test")  # in the order of SyntheticPeople: the same scenes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What one camera sees, ready to be written."""

    rgb: U8  # (H, W, 3)
    mask: Bool  # (H, W)
    depth: F32  # (H, W) [m]; 0 outside the mask
    normal: F32  # (H, W, 3) camera frame, unit; 0 outside the mask
    labels: U8 | None  # (H, W) part ids
    camera: Camera
    facts: dict[str, Any]  # goes into the scene's record


class ViewSource(Protocol):
    """Makes view number ``index``, always the same one; travels to the rendering processes."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    def labeled(self) -> bool:
        """Whether views carry part labels and keypoints."""

    def settings(self) -> dict[str, Any]:
        """Return everything that decides what the views look like."""

    def view(self, index: int) -> View:
        """Render one view."""


@dataclass(frozen=True, slots=True)
class PeopleViews:
    """The scenes of a :class:`SceneSource`."""

    source: SceneSource

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.source.image_size

    @property
    def labeled(self) -> bool:
        """People have parts and keypoints."""
        return True

    def settings(self) -> dict[str, Any]:
        """Return everything that decides what the scenes look like."""
        facts = {"source": "people", "renderer": VERSION, **self.source.settings()}
        return {**facts, "split": SPLITS[self.source.split]}

    def view(self, index: int) -> View:
        """Render scene number ``index``."""
        scene = self.source.render(index)
        x1, y1, x2, y2 = (float(v) for v in scene.bbox)
        points = np.round(scene.keypoints.astype(np.float64), 3).tolist()
        person = {name: getattr(scene, name) for name in ("framing", "pose", "gender", "age")}
        facts = {
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": int(scene.mask.sum()),
            "landmarks": [[*xy, int(v)] for xy, v in zip(points, scene.visible, strict=True)],
            "person": {**person, "height_m": scene.height},
        }
        return View(
            rgb=scene.rgb, mask=scene.mask, depth=scene.depth, normal=scene.normal,
            labels=scene.parts, camera=scene.camera, facts=facts,
        )  # fmt: skip


def camera_facts(camera: Camera) -> dict[str, Any]:
    """Return a camera as it stands in the files."""
    K = camera.K
    return {
        "height": camera.size[0],
        "width": camera.size[1],
        "focal_px": [K[0, 0], K[1, 1]],
        "principal_point_px": [K[0, 2], K[1, 2]],
        "R": camera.R.tolist(),
        "t": camera.t.tolist(),
    }
