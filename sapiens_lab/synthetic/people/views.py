"""Numbered scenes of rendered people, for the cache and for files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from sapiens_lab.synthetic.people.scene import VERSION, Scene, render_scene
from sapiens_lab.synthetic.rendering.orbit import USUAL, Orbit
from sapiens_lab.synthetic.rendering.view import View

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)  # their order decides the scenes: only append


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """Which scenes: everything that decides scene number ``i``.

    Raises:
        ValueError: a range of angles makes no sense, see `Orbit`.
    """

    image_size: tuple[int, int]
    seed: int
    split: int
    supersample: int = 2
    elevation_deg: tuple[float, float] | None = None  # ranges, see `Orbit`
    roll_deg: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.orbit()  # checks the ranges

    def orbit(self) -> Orbit:
        """Return what the cameras are drawn from."""
        return replace(USUAL, elevation_deg=self.elevation_deg, roll_deg=self.roll_deg)

    def render(self, index: int) -> Scene:
        """Render scene number ``index``."""
        assert self.supersample in (1, 2)
        return render_scene(
            (self.seed, self.split, index),
            image_size=self.image_size,
            orbit=self.orbit(),
            supersample=1 if self.supersample == 1 else 2,
        )

    @property
    def bytes_per_scene(self) -> float:
        """About how large a scene file is (measured: 20 kB at 128x96, 0.6 MB at 1024x768)."""
        return 8e3 + 1.1 * self.image_size[0] * self.image_size[1]

    def settings(self) -> dict[str, Any]:
        """Return what was chosen; ``None`` is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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
