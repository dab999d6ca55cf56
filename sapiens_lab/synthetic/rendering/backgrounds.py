"""What is behind a person: gradients, clouds, cluttered shapes, or a room with floor and wall.

A backdrop is drawn once for a scene and painted through any camera: it lies in the image plane
of the scene's camera, so that warping the image and warping the camera agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from sapiens_lab import geometry
from sapiens_lab.synthetic.rendering.arrays import F32, F64, Rng, along, product
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.colors import mute
from sapiens_lab.synthetic.rendering.lighting import ShadowMap
from sapiens_lab.synthetic.rendering.noise import SineNoise

Kind = Literal["gradient", "clouds", "room", "clutter"]
Texture = Literal["tiles", "boards", "clouds", "plain"]
_KINDS: tuple[Kind, ...] = ("gradient", "clouds", "room", "clutter")
_TEXTURES: tuple[Texture, ...] = ("tiles", "boards", "clouds", "plain")
_MOST_SHAPES = 40
_COARSE = 4  # smooth fields are evaluated at every fourth pixel and enlarged
_SHADOW = 0.55  # of the light reaches a shadow on the floor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backdrop:
    """Everything random about a background."""

    kind: Kind
    colors: F32  # (2, 3) linear RGB
    angle: float  # [rad] of the gradient
    noise: SineNoise
    wall: float  # [m] from the person to the wall
    texture: Texture
    tile: float  # [m]
    shapes: list[F32]  # polygons (N, 2) in image heights from the center of the image
    shape_colors: F32  # (shapes, 3)
    blur: float  # image heights: the background is out of focus


def sample_backdrop(rng: Rng) -> Backdrop:
    """Draw a backdrop."""
    kind = _KINDS[int(rng.choice(4, p=(0.12, 0.18, 0.4, 0.3)))]
    count = int(rng.integers(8, _MOST_SHAPES))
    return Backdrop(
        kind=kind,
        colors=mute(rng, rng.uniform(0.03, 0.97, (2, 3))),
        angle=rng.uniform(0, 2 * np.pi),
        noise=SineNoise.draw(rng, 3, 4.0),
        wall=rng.uniform(0.6, 4),
        texture=_TEXTURES[int(rng.integers(len(_TEXTURES)))],
        tile=rng.uniform(0.15, 0.8),
        shapes=[_shape(rng) for _ in range(count)],
        shape_colors=mute(rng, rng.uniform(0.03, 0.97, (count, 3))),
        blur=max(0.0, rng.normal(0.001, 0.004)),
    )


def _shape(rng: Rng) -> F32:
    """Draw a rectangle or an ellipse anywhere in the image."""
    center, radius = rng.uniform(-0.55, 0.55, 2), rng.uniform(0.03, 0.3, 2)
    rotation, corners = rng.uniform(0, np.pi), 4 if rng.random() < 0.6 else 24
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + np.pi / corners
    scale = np.sqrt(2) if corners == 4 else 1.0
    x, y = scale * np.cos(angle) * radius[0], scale * np.sin(angle) * radius[1]
    c, s = np.cos(rotation), np.sin(rotation)
    return np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], 1).astype(np.float32)


def paint(
    backdrop: Backdrop,
    camera: Camera,
    scene_camera: Camera,
    floor_y: float,
    shadows: ShadowMap | None,
) -> F32:
    """Return the background ``(H, W, 3)`` in linear RGB as ``camera`` sees it.

    Args:
        backdrop: what to paint.
        camera: the camera to paint for.
        scene_camera: the camera of the scene, in whose image plane the backdrop lies.
        floor_y: world height of the floor of a room [m].
        shadows: darkens the floor.
    """
    if backdrop.kind == "room":
        image = _room(backdrop, camera, scene_camera, floor_y, shadows)
    elif backdrop.kind == "clutter":
        image = _clutter(backdrop, camera, scene_camera)
    else:
        coarse = _coarse(camera)
        plane = _plane(_grid(coarse), coarse, scene_camera)
        fraction = _second_fraction(backdrop, plane)[..., None]
        small = backdrop.colors[0] * (1 - fraction) + backdrop.colors[1] * fraction
        image = _enlarge(small, camera.size)
    sigma = backdrop.blur * camera.size[0]
    if sigma > 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    return np.clip(image, 0, 1).astype(np.float32)


def _grid(camera: Camera) -> F32:
    height, width = camera.size
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def _coarse(camera: Camera) -> Camera:
    height, width = (max(1, -(-n // _COARSE)) for n in camera.size)
    return camera.warp(geometry.resize(camera.size, (height, width)), (height, width))


def _enlarge(image: F32, size: tuple[int, int]) -> F32:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))


def _plane(xy: F32, camera: Camera, scene_camera: Camera) -> F32:
    """Return where pixels ``(..., 2)`` lie in the image of the scene's camera, in image heights."""
    ahead = product(camera.rays(xy), (scene_camera.R @ camera.R.T).T)
    K = scene_camera.K.astype(np.float32)
    at = product(ahead[..., :2] / np.maximum(ahead[..., 2:], 1e-3), K[:2, :2].T) + K[:2, 2]
    return np.asarray((at - _center(scene_camera)) / np.float32(scene_camera.size[0]), np.float32)


def _center(camera: Camera) -> F32:
    return np.asarray((np.array(camera.size[::-1], np.float32) - 1) / 2, np.float32)


def _second_fraction(backdrop: Backdrop, plane: F32) -> F32:
    """Return the fraction 0..1 of the second color."""
    u, v = plane[..., 0], plane[..., 1]
    if backdrop.kind == "gradient":
        return np.asarray(
            np.clip(0.5 + u * np.cos(backdrop.angle) + v * np.sin(backdrop.angle), 0, 1)
        )
    points = np.concatenate([plane, np.zeros_like(plane[..., :1])], -1)
    return np.asarray(np.clip(0.5 + 0.5 * backdrop.noise(points), 0, 1))


def _clutter(backdrop: Backdrop, camera: Camera, scene_camera: Camera) -> F32:
    canvas = np.empty((*camera.size, 3), np.uint8)
    canvas[:] = np.round(backdrop.colors[0] * 255)
    for corners, color in zip(backdrop.shapes, backdrop.shape_colors, strict=True):
        pixels = corners * scene_camera.size[0] + _center(scene_camera)
        ahead = scene_camera.rays(pixels) @ (camera.R @ scene_camera.R.T).T.astype(np.float32)
        if ahead[:, 2].min() <= 0:
            continue
        K = camera.K.astype(np.float32)
        at = ahead[:, :2] / ahead[:, 2:] @ K[:2, :2].T + K[:2, 2]
        fixed = np.round(np.clip(at, -1e4, 1e4) * 16).astype(np.int32)  # 4 bits of fraction
        rgb = [float(c) for c in np.round(color * 255)]
        cv2.fillPoly(canvas, [fixed], rgb, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(canvas.astype(np.float32) / np.float32(255))


def _room(
    backdrop: Backdrop,
    camera: Camera,
    scene_camera: Camera,
    floor_y: float,
    shadows: ShadowMap | None,
) -> F32:
    """Meet each ray with the floor or with a wall behind the person, whichever comes first."""
    rays = product(camera.rays(_grid(camera)), camera.R)  # world directions
    start = camera.center
    back = scene_camera.R[2] * (1, 0, 1)  # horizontal, away from the scene's camera
    back /= np.linalg.norm(back) + 1e-9
    down = np.where(np.abs(rays[..., 1]) < 1e-6, -1e-6, rays[..., 1])
    to_floor = (floor_y - start[1]) / down
    to_wall = (backdrop.wall - start @ back) / np.maximum(along(rays, back), 1e-4)
    on_floor = (to_floor > 0) & (to_floor < to_wall)
    distance = np.where(on_floor, to_floor, np.minimum(to_wall, 60)).astype(np.float32)
    place = start.astype(np.float32) + rays * distance[..., None]
    dark = _texture(backdrop, place, on_floor, np.cross([0.0, 1.0, 0.0], back))
    color = np.where(on_floor[..., None], backdrop.colors[0], backdrop.colors[1])
    fog = np.clip(1.1 - 0.04 * distance, 0.3, 1)
    if shadows is not None:
        lit = shadows.lit(place[on_floor])
        fog[on_floor] *= _SHADOW + (1 - _SHADOW) * lit
    return np.asarray(color * ((1 - 0.35 * dark) * fog)[..., None], np.float32)


def _texture(backdrop: Backdrop, place: F32, on_floor: np.ndarray, right: F64) -> F32:
    """Return 0..1, how dark the pattern is at world places ``(H, W, 3)``."""
    if backdrop.texture == "plain":
        return np.zeros(place.shape[:2], np.float32)
    if backdrop.texture == "clouds":
        small = np.ascontiguousarray(place[::_COARSE, ::_COARSE])
        clouds = np.clip(0.5 + 0.5 * backdrop.noise(small), 0, 1)
        return _enlarge(clouds, place.shape[:2])
    a = np.where(on_floor, place[..., 0], along(place, right)) / backdrop.tile
    b = np.where(on_floor, place[..., 2], place[..., 1]) / backdrop.tile
    if backdrop.texture == "tiles":
        return np.asarray((np.floor(a) + np.floor(b)) % 2, np.float32)
    return np.asarray(np.floor(2 * a) % 3 / 2, np.float32)
