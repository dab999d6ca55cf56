"""Make garments: parts of the body's helper meshes, moved outwards and trimmed at their hems."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sapiens_lab.synthetic.people.body import MESHES, Body, Posed, load_body
from sapiens_lab.synthetic.people.materials import Material
from sapiens_lab.synthetic.rendering.arrays import F32, I64, Rng
from sapiens_lab.synthetic.rendering.mesh import Piece
from sapiens_lab.synthetic.rendering.noise import SineNoise

_THINNEST = 0.004  # [m]


@lru_cache(maxsize=2)
def _local_triangles(mesh: str) -> I64:
    return load_body().triangles[mesh] - MESHES[mesh].start


def garment(
    rng: Rng,
    body: Body,
    posed: Posed,
    reach: F32,
    material: Material,
    *,
    ease: float,
    wrinkled: bool,
    over: Piece | None = None,
) -> Piece:
    """Cut a garment from the tights.

    Args:
        rng: draws the wrinkles.
        body: the asset.
        posed: the body that wears it.
        reach: field ``(V,)`` of the garment.
        material: of the garment.
        ease: mean distance from the body [m].
        wrinkled: vary the distance over the surface.
        over: a garment worn over this one, which then stays closer to the body than that.
    """
    part = MESHES["tights"]
    canonical = body.canonical[part]
    wrinkles = SineNoise.draw(rng, 2, 18.0)
    away = np.full(len(canonical), ease, np.float32)
    if wrinkled:
        away *= 1 + 0.8 * wrinkles(canonical)
    away = np.maximum(away, _THINNEST)
    if over is not None:
        gap = np.linalg.norm(over.vertices - posed.vertices[part], axis=1)
        under = np.clip(over.cut / 0.02 + 2, 0, 1)  # from 4 to 2 cm outside its hem
        away = np.minimum(away, under * 0.5 * gap + (1 - under) * away)
    return Piece(
        vertices=posed.vertices[part] + posed.normals[part] * away[:, None],
        triangles=_local_triangles("tights"),
        canonical=canonical,
        cut=reach[part],
        material=np.full(len(canonical), material, np.uint8),
        tone=np.zeros(len(canonical), np.float32),
        one_sided=False,
    )


def skirt(body: Body, posed: Posed, leg: F32, end: float) -> Piece:
    """Cut a skirt that ends at the leg coordinate ``end``."""
    part = MESHES["skirt"]
    return Piece(
        vertices=posed.vertices[part] + posed.normals[part] * np.float32(0.004),
        triangles=_local_triangles("skirt"),
        canonical=body.canonical[part],
        cut=np.float32(0.85) * (np.float32(end) - leg[part]),
        material=np.full(part.stop - part.start, Material.BOTTOM, np.uint8),
        tone=np.zeros(part.stop - part.start, np.float32),
        one_sided=False,
    )
