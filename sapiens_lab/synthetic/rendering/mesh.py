"""Triangles with what the renderer needs to know at their corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, I64, U8, Bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """One layer of a person: skin, a garment, hair."""

    vertices: F32  # (V, 3) world [m]
    triangles: I64  # (T, 3)
    canonical: F32  # (V, 3) where the vertex sits on the canonical body [m]
    cut: F32  # (V,) the surface ends where this interpolates to zero
    material: U8  # (V,)
    tone: F32  # (V,) brightness texture, about -1..1
    one_sided: bool  # backs are never seen (closed surfaces)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """All pieces of a person in one set of arrays."""

    vertices: F32  # (V, 3) world [m]
    normals: F32  # (V, 3) world, unit
    triangles: I64  # (T, 3)
    canonical: F32  # (V, 3)
    cut: F32  # (V,)
    material: U8  # (V,)
    tone: F32  # (V,)
    cull: Bool  # (T,)


def join(pieces: Sequence[Piece]) -> Mesh:
    """Put pieces together, without the triangles that are cut away whole."""
    triangles, cull, start = [], [], 0
    for piece in pieces:
        shown = (piece.cut > 0)[piece.triangles]
        kept = piece.triangles[shown[:, 0] | shown[:, 1] | shown[:, 2]]
        triangles.append(kept + start)
        cull.append(np.full(len(kept), piece.one_sided))
        start += len(piece.vertices)
    corners = np.concatenate(triangles)
    vertices = np.concatenate([piece.vertices for piece in pieces])
    return Mesh(
        vertices=vertices,
        normals=vertex_normals(vertices, corners),
        triangles=corners,
        canonical=np.concatenate([piece.canonical for piece in pieces]),
        cut=np.concatenate([piece.cut for piece in pieces]),
        material=np.concatenate([piece.material for piece in pieces]),
        tone=np.concatenate([piece.tone for piece in pieces]),
        cull=np.concatenate(cull),
    )


def vertex_normals(vertices: F32, triangles: I64) -> F32:
    """Return unit normals ``(V, 3)``: the mean of the adjacent faces, weighted by area."""
    a, b, c = vertices[triangles[:, 0]], vertices[triangles[:, 1]], vertices[triangles[:, 2]]
    (px, py, pz), (qx, qy, qz) = (b - a).T, (c - a).T
    flat = triangles.T.ravel()
    face = (py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx)
    x, y, z = (np.bincount(flat, np.tile(part, 3), len(vertices)) for part in face)
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)
    return np.stack([x / length, y / length, z / length], 1).astype(np.float32)
