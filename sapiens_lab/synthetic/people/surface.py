"""What is visible at each foreground pixel: position, normal, material, part class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sapiens_lab.synthetic.people.materials import NUM_REGIONS, PART_OF
from sapiens_lab.synthetic.people.person import Person
from sapiens_lab.synthetic.people.regions import load_regions
from sapiens_lab.synthetic.rendering.arrays import F32, I64, U8, Bool, dot, product, unit
from sapiens_lab.synthetic.rendering.camera import Camera
from sapiens_lab.synthetic.rendering.raster import Backend, rasterize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """The ``P`` foreground pixels of an image, row by row."""

    mask: Bool  # (H, W) where they are
    depth: F32  # (P,) [m]
    normal: F32  # (P, 3) camera frame, unit, toward the viewer
    position: F32  # (P, 3) camera frame [m]
    canonical: F32  # (P, 3) position on the canonical body
    tone: F32  # (P,)
    material: U8  # (P,)
    pixel: float  # [m] typical size of a pixel on the surface
    part: U8  # (P,) class id, left and right as seen (exchanged by a flipping camera)


def find_surface(person: Person, camera: Camera, *, backend: Backend | None = None) -> Surface:
    """Rasterize a person and look up everything about the surface behind each pixel."""
    mesh = person.mesh
    xy, z = camera.project(mesh.vertices)
    seen = rasterize(
        xy,
        z,
        mesh.triangles,
        camera.size,
        cut=mesh.cut,
        cull=mesh.cull,
        flipped=camera.is_flip,
        backend=backend,
    )
    mask = seen.triangle >= 0
    triangle, weights, depth = seen.triangle[mask], seen.weights[mask], seen.depth[mask]
    corners = mesh.triangles[triangle]  # (P, 3)
    values = np.concatenate([mesh.normals, mesh.canonical, mesh.tone[:, None]], 1)  # (V, 7)
    at = weights[:, 0, None] * values[corners[:, 0]]
    at += weights[:, 1, None] * values[corners[:, 1]]
    at += weights[:, 2, None] * values[corners[:, 2]]
    canonical = at[:, 3:6]
    material = _materials(person, triangle, corners, weights)
    y, x = np.nonzero(mask)
    rays = camera.rays(np.stack([x, y], 1).astype(np.float32))
    normal = _toward_viewer(product(at[:, :3], camera.R.T), rays)
    on_left = (canonical[:, 0] > 0) != camera.is_flip
    return Surface(
        mask=mask,
        depth=depth,
        normal=normal,
        position=rays * depth[:, None],
        canonical=canonical,
        tone=at[:, 6],
        material=material,
        pixel=float(depth.mean() / camera.K[1, 1]) if len(depth) else 1.0,
        part=PART_OF[on_left.astype(np.int64), material],
    )


def _toward_viewer(normal: F32, rays: F32) -> F32:
    """Scale to unit length, and flip what faces away: the inside of an open garment."""
    normal = unit(normal)
    away = dot(normal, rays) > np.float32(0.15) * np.sqrt(dot(rays, rays))
    normal[away] *= -1
    return normal


def _materials(person: Person, triangle: np.ndarray, corners: I64, weights: F32) -> U8:
    """Return each pixel's material; borders are where the fields interpolate to zero."""
    mesh = person.mesh
    corner_material = mesh.material[corners]  # (P, 3)
    material = corner_material[:, 0].copy()
    mixed = np.flatnonzero(
        (corner_material[:, 1] != material) | (corner_material[:, 2] != material)
    )
    if len(mixed):
        scores = load_regions().region_scores[corners[mixed]]  # (M, 3, regions)
        at = np.einsum("mk,mkr->mr", weights[mixed], scores)
        skin = (corner_material[mixed] < NUM_REGIONS).all(1)
        nearest = corner_material[mixed, weights[mixed].argmax(1)]
        material[mixed] = np.where(skin, at.argmax(1), nearest)
    on_skin = np.flatnonzero(corners[:, 0] < len(person.paints[0].field))
    corners, weights = corners[on_skin], weights[on_skin]
    for paint in person.paints:
        at = np.einsum("pk,pk->p", weights, paint.field[corners])
        material[on_skin[at > 0]] = paint.material
    return np.asarray(material)
