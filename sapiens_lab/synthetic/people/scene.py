"""Render one scene: an image of a random person with all annotations.

``render_scene(seed, image_size=...)`` is a pure function. Who stands there, in what pose, clothes,
light and surroundings depends on the seed alone; image size and camera only change the view.
World frame: meters, y up. Camera frame: x right, y down, z forward. Integer pixels are centers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.people.person import Person, build_person
from sapiens_lab.synthetic.people.shading import shade
from sapiens_lab.synthetic.people.surface import Surface, find_surface
from sapiens_lab.synthetic.rendering import backgrounds
from sapiens_lab.synthetic.rendering.arrays import F32, U8, Bool
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.composite import at_centers, blend, supersampled, tone_map
from sapiens_lab.synthetic.rendering.lighting import ShadowMap, sample_light
from sapiens_lab.synthetic.rendering.orbit import USUAL, Framing, Orbit, choose_framing
from sapiens_lab.synthetic.rendering.raster import Backend
from sapiens_lab.synthetic.rendering.streams import Seed, Streams

VERSION = 4  # raise it whenever the same seed gives another image: caches then start empty


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A rendered person; pixel (x, y) of every map is the same point."""

    rgb: U8  # (H, W, 3)
    depth: F32  # (H, W) along the camera's z [m]; 0 outside the person
    normal: F32  # (H, W, 3) camera frame, unit; 0 outside the person
    parts: U8  # (H, W) ids of materials.PARTS; 0 is the background
    keypoint_names: tuple[str, ...]
    keypoints: F32  # (N, 2) pixels, also of points outside the image
    visible: U8  # (N,) 0 outside the image, 1 hidden, 2 seen
    camera: Camera
    framing: Framing
    pose: str
    gender: str
    age: float  # 1/3 child .. 2/3 young .. 1 old
    height: float  # [m] of the person

    @property
    def mask(self) -> Bool:
        """Where the person is, ``(H, W)``."""
        return self.parts > 0

    @property
    def bbox(self) -> F32:
        """The mask's box ``(4,)`` xyxy on pixel edges; the whole image if nothing is seen."""
        y, x = np.nonzero(self.mask)
        if len(y) == 0:
            height, width = self.parts.shape
            return np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)
        edges = (x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5)
        return np.array(edges, np.float32)


def render_scene(
    seed: Seed,
    *,
    image_size: tuple[int, int],
    framing: Framing | None = None,
    orbit: Orbit = USUAL,
    supersample: Literal[1, 2] = 2,
    camera: Camera | None = None,
    shadows: bool = True,
    sensor_noise: bool = True,
    backend: Backend | None = None,
) -> Scene:
    """Render the scene of a seed.

    Args:
        seed: an integer or a sequence of them.
        image_size: (height, width) of the image.
        framing: how much of the person to show; drawn by default.
        orbit: what the scene's camera is drawn from; by default as people are photographed.
        supersample: 2 smooths the edges of the image (annotations are never mixed).
        camera: look through this camera instead; its size counts.
        shadows: of the person, on the person and on the floor.
        sensor_noise: noise of the camera's sensor, the one thing drawn per pixel.
        backend: of the rasterizer.
    """
    streams = Streams(seed)
    framing = framing or choose_framing(streams.get("framing"))
    person = build_person(streams, framing)
    targets = _targets(streams, person, framing)
    scene_camera, _ = orbit.sample(streams.get("camera"), targets, image_size)
    camera = camera or scene_camera
    light = sample_light(streams.get("light"))
    shadow_map = ShadowMap.cast(person.mesh, light) if shadows else None

    surface = find_surface(person, supersampled(camera, supersample), backend=backend)
    color = shade(surface, person.appearance, light, shadow_map, camera)
    backdrop = backgrounds.sample_backdrop(streams.get("backdrop"))
    floor_y = float(person.mesh.vertices[:, 1].min())
    background = backgrounds.paint(backdrop, camera, scene_camera, floor_y, shadow_map)
    image = blend(surface.mask, color, background, supersample)
    noise = streams.get("sensor") if sensor_noise else None
    scene = _annotate(surface, person, camera, supersample)
    return replace(scene, rgb=tone_map(image, light, noise), framing=framing)


def _targets(streams: Streams, person: Person, framing: Framing) -> F32:
    """Return the world points ``(N, 3)`` that the scene's camera must show."""
    vertices = person.mesh.vertices[::4]  # dense enough to fit a camera
    if framing == "full":
        return vertices
    if framing == "upper":
        upright = person.pose not in ("sit", "crouch")
        return vertices[vertices[:, 1] > person.hips_y - 0.1] if upright else vertices
    reach = streams.get("head frame").uniform(0.1, 0.22)
    corners = np.array([[1, 1, 1], [-1, -1, -1], [1, -1, 1], [-1, 1, -1]], np.float32)
    return np.asarray(person.head + np.float32(reach) * corners)


def _annotate(surface: Surface, person: Person, camera: Camera, supersample: int) -> Scene:
    """Read the maps at the pixel centers and project the keypoints."""
    landmarks = load_landmarks()
    points = person.landmarks
    if camera.is_flip:
        points = points[landmarks.flip_indices]
    depth = at_centers(surface.mask, surface.depth, supersample)
    xy, z = camera.project(points)
    return Scene(
        rgb=np.zeros((*camera.size, 3), np.uint8),
        depth=depth,
        normal=at_centers(surface.mask, surface.normal, supersample),
        parts=at_centers(surface.mask, surface.part, supersample),
        keypoint_names=landmarks.names,
        keypoints=xy,
        visible=_visible(xy, z, depth, landmarks.depth, camera),
        camera=camera,
        framing="full",
        pose=person.pose,
        gender=person.gender,
        age=person.age,
        height=person.height,
    )


def _visible(xy: F32, z: F32, depth: F32, allowance: F32, camera: Camera) -> U8:
    """Compare each point with the nearest surface at its pixel.

    A point may lie below the surface as far as its kind does, and by the depth that a slanted
    surface gains within a pixel.
    """
    height, width = camera.size
    column, row = (np.rint(xy[:, i]).astype(np.int64) for i in range(2))
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    front = depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    footprint = z / np.sqrt(abs(np.linalg.det(camera.K[:2, :2])))  # [m] of a pixel
    hidden = (front > 0) & (front < z - allowance - footprint)
    return np.where(inside, np.where(hidden, 1, 2), 0).astype(np.uint8)
