"""One directional light, sky and ground as ambient light, and shadows from splatted points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, Rng, along, product
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.mesh import Mesh

_MAP = 112  # pixels of the shadow map's longer side; about 2 cm each
_BIAS = 0.03  # [m] a surface does not shade itself


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Light:
    """World-frame light."""

    direction: F32  # (3,) unit, toward the light
    key: float
    ambient: float
    tint: F32  # (3,)
    shade: float  # fraction of the key light that reaches a shadow
    exposure: float
    gamma: float


def sample_light(rng: Rng) -> Light:
    """Draw a light from above, mostly from the person's front."""
    direction = rng.normal(0, 1, 3)
    direction[1] = abs(direction[1]) + 0.4
    if rng.random() < 0.7:
        direction[2] = abs(direction[2])
    return Light(
        direction=(direction / np.linalg.norm(direction)).astype(np.float32),
        key=rng.uniform(0.5, 1.1),
        ambient=rng.uniform(0.25, 0.6),
        tint=(1 + rng.normal(0, 0.06, 3)).astype(np.float32),
        shade=rng.uniform(0.1, 0.4),
        exposure=rng.uniform(0.85, 1.15),
        gamma=rng.uniform(1.3, 2.0),
    )


def toward_light(light: Light, camera: Camera) -> F32:
    """Return the direction ``(3,)`` of the light in the camera frame."""
    return np.asarray(camera.R @ light.direction, np.float32)


def brightness(normal: F32, light: Light, camera: Camera, lit: F32 | float = 1.0) -> F32:
    """Return diffuse and ambient light ``(P,)`` on surfaces with these normals ``(P, 3)``.

    Args:
        normal: unit, camera frame.
        light: world frame.
        camera: relates the two frames.
        lit: 0 (shadow) .. 1, how much of the key light arrives.
    """
    diffuse = np.clip(along(normal, toward_light(light, camera)), 0, 1) * lit
    sky = 0.775 + 0.225 * along(normal, camera.R[:, 1])  # 0.55 from below .. 1 from above
    return np.asarray(light.ambient * sky + light.key * diffuse, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShadowMap:
    """How near to the light the person comes, on a grid across the light's direction."""

    axes: F32  # (3, 3) world to light: across, across, away from the light
    low: F32  # (2,) light-frame corner of the grid [m]
    scale: float  # pixels per meter
    nearest: F32  # (S, S) [m] along the third axis; large where nothing is

    @classmethod
    def cast(cls, mesh: Mesh, light: Light) -> ShadowMap:
        """Splat the vertices and the centers of the triangles, then close the gaps."""
        away = -light.direction
        side = np.cross(np.array([0, 1, 0.01], np.float32), away)
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(away, side), away]).astype(np.float32)
        i, j, k = mesh.triangles.T
        shown = mesh.cut[i] + mesh.cut[j] + mesh.cut[k] >= 0
        at = product(mesh.vertices, axes.T)
        a, b, c = at[i[shown]], at[j[shown]], at[k[shown]]
        points = np.concatenate([(a + b + c) / 3, a])
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        scale = float((_MAP - 5) / (high - low).max())
        cell = ((points[:, :2] - low) * scale + 2.5).astype(np.int64)
        near = np.full(_MAP * _MAP, 1e6, np.float32)
        np.minimum.at(near, cell[:, 1] * _MAP + cell[:, 0], points[:, 2])
        closed = cv2.morphologyEx(  # gaps are far away: an opening of depth fills them
            near.reshape(_MAP, _MAP), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
        )
        return cls(axes=axes, low=low, scale=scale, nearest=np.asarray(closed))

    def lit(self, points: F32) -> F32:
        """Return 0 (shadow) .. 1 (light) for world points ``(N, 3)``; edges are soft."""
        at = product(points, self.axes.T)
        xy = (at[:, :2] - self.low) * self.scale + 2
        x0 = np.floor(xy).astype(np.int64)
        fraction = xy - x0
        out = np.zeros(len(points), np.float32)
        for dx in (0, 1):
            for dy in (0, 1):
                x, y = x0[:, 0] + dx, x0[:, 1] + dy
                inside = (x >= 0) & (x < _MAP) & (y >= 0) & (y < _MAP)
                index = np.where(inside, y * _MAP + x, 0)
                free = (self.nearest.ravel()[index] > at[:, 2] - _BIAS) | ~inside
                wx = fraction[:, 0] if dx else 1 - fraction[:, 0]
                wy = fraction[:, 1] if dy else 1 - fraction[:, 1]
                out += wx * wy * free
        return out
