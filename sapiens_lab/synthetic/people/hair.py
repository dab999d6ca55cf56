"""Hair: the scalp moved outward, and for long hair a sheet that hangs from it.

The sheet runs around the head from temple to temple and leaves the face free. It is built once on
the canonical body and bound to the skin beneath, so it follows every identity and pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.people.body import MESHES, NUM_VERTICES, Body, load_body
from sapiens_lab.synthetic.people.materials import Material
from sapiens_lab.synthetic.people.regions import Regions, load_regions
from sapiens_lab.synthetic.rendering.arrays import F32, F64, I64, Rng, dot, product
from sapiens_lab.synthetic.rendering.mesh import Piece
from sapiens_lab.synthetic.rendering.noise import SineNoise

_COLUMNS, _ROWS = 81, 25
_FRONT = 68.0  # [degrees] azimuth where the sheet begins on either side
_EAR = 104.0  # [degrees] behind the ears
_TOP_Y, _BOTTOM_Y = 0.925, 0.36  # [m] canonical
_WIDEST = 0.125  # [m] from the head's axis
_NEIGHBORS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hairstyle:
    """The hair of one person."""

    kind: Literal["bald", "short", "long"]
    volume: float  # [m] how far short hair stands off the scalp
    recede: float  # [m] how far the hairline is moved up
    length_y: float  # [m] canonical height where long hair ends
    behind_ears: bool  # long hair leaves the ears free
    strands: SineNoise
    ends: SineNoise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sheet:
    vertices: F32  # (N, 3) canonical
    normals: F32  # (N, 3)
    azimuth: F32  # (N,) [rad]
    triangles: I64  # (T, 3)
    anchors: I64  # (N, k) body vertices that carry it
    anchor_weights: F32  # (N, k)
    weights: F32  # (N, bones)


def sample_hair(rng: Rng, *, female: bool) -> Hairstyle:
    """Draw a hairstyle."""
    bald, long = rng.random() < (0.02 if female else 0.12), rng.random() < (0.6 if female else 0.1)
    return Hairstyle(
        kind="bald" if bald else "long" if long else "short",
        volume=rng.uniform(0.004, 0.028),
        recede=0.0 if female else max(0.0, rng.normal(0, 0.008)),
        length_y=rng.uniform(0.42, 0.74),
        behind_ears=rng.random() < 0.4,
        strands=SineNoise.draw(rng, 2, (60.0, 9.0, 60.0)),
        ends=SineNoise.draw(rng, 3, 4.0, dims=1),
    )


def scalp_hair(hair: Hairstyle, regions: Regions, canonical: F32) -> tuple[F32, F32, F32]:
    """Return the field of hair on the scalp, its thickness [m] and its tone, each ``(V,)``."""
    if hair.kind == "bald":
        nothing = np.zeros(len(canonical), np.float32)
        return nothing - 1, nothing, nothing
    front = np.clip((canonical[:, 2] - 0.03) / 0.08, 0, 1)  # hair recedes from the forehead
    field = regions.hairline - np.float32(hair.recede) * front
    on = np.flatnonzero(field > -0.01)
    thickness, tone = np.zeros_like(field), np.zeros_like(field)
    tone[on] = hair.strands(canonical[on])
    rise = np.clip(field[on] / 0.045, 0, 1)
    thickness[on] = hair.volume * np.sqrt(rise) * (1 + 0.2 * tone[on])
    return field, thickness, tone


def long_hair(
    hair: Hairstyle, body: Body, shape: F32, joints: tuple[F32, F32], *, ease: float
) -> Piece:
    """Return the hanging part of long hair, over clothes that stand ``ease`` [m] off the body."""
    sheet = _sheet()
    moved = (shape[:NUM_VERTICES] - body.canonical)[sheet.anchors]  # (N, k, 3)
    clump = hair.ends(6 * sheet.azimuth[:, None])
    y = sheet.vertices[:, 1]
    lift = 0.25 * hair.volume + 0.004 * clump + 1.6 * ease * np.clip((0.80 - y) / 0.06, 0, 1)
    rest = sheet.vertices + np.einsum("nk,nkc->nc", sheet.anchor_weights, moved)
    rest += sheet.normals * lift[:, None]
    tip = hair.length_y + 0.035 * hair.ends(sheet.azimuth[:, None])
    azimuth_deg = np.degrees(np.abs(sheet.azimuth))
    tip += 0.08 * (1 - np.clip((azimuth_deg - _FRONT) / 30, 0, 1))  # shorter locks beside the face
    cut = y - tip
    if hair.behind_ears:
        cut = np.minimum(cut, 0.005 * (azimuth_deg - _EAR))
    strands = hair.strands(np.stack([3.5 * sheet.azimuth / 6, y, 0 * y], 1))
    return Piece(
        vertices=body.skin(rest, sheet.weights, joints).astype(np.float32),
        triangles=sheet.triangles,
        canonical=sheet.vertices,
        cut=cut.astype(np.float32),
        material=np.full(len(y), Material.HAIR, np.uint8),
        tone=strands,
        one_sided=False,
    )


@lru_cache(maxsize=1)
def _sheet() -> _Sheet:
    body, regions = load_body(), load_regions()
    pool = np.flatnonzero(
        ((regions.region == Material.FACE) | (regions.region == Material.TORSO))
        & (np.arange(NUM_VERTICES) < MESHES["body"].stop)
        & (body.masks["inside-mouth"] < 0.5)
    )
    axis_z = float(body.head("head")[2])
    azimuth = np.radians(np.linspace(_FRONT, 360 - _FRONT, _COLUMNS))
    y = np.linspace(_TOP_Y, _BOTTOM_Y, _ROWS)
    radius = _radius(body.canonical[pool], azimuth, y, axis_z)
    phi, height = np.meshgrid(azimuth, y)
    outward = np.stack([np.sin(phi), 0 * phi, np.cos(phi)], -1).reshape(-1, 3)
    points = outward * radius.reshape(-1, 1) + np.stack(
        [0 * phi, height, 0 * phi + axis_z], -1
    ).reshape(-1, 3)
    points = points.astype(np.float32)
    anchors, anchor_weights = _bind(points, pool[::3], body.canonical)  # every third is enough
    weights = np.einsum("nk,nkb->nb", anchor_weights, body.weights[anchors])
    return _Sheet(
        vertices=points,
        normals=outward.astype(np.float32),
        azimuth=((phi.ravel() + np.pi) % (2 * np.pi) - np.pi).astype(np.float32),
        triangles=_grid(_ROWS, _COLUMNS),
        anchors=anchors,
        anchor_weights=anchor_weights,
        weights=weights.astype(np.float32),
    )


def _radius(points: F32, azimuth: F64, y: F64, axis_z: float) -> F64:
    """Return how far out the sheet hangs ``(rows, columns)``, outside what it covers."""
    angle = np.arctan2(points[:, 0], points[:, 2] - axis_z)
    reach = np.hypot(points[:, 0], points[:, 2] - axis_z)
    difference = np.abs((angle - azimuth[:, None] + np.pi) % (2 * np.pi) - np.pi)
    beside = np.where(difference < 0.15, reach, 0)  # (columns, N)
    level = [np.abs(points[:, 1] - height) < 0.025 for height in y]
    out = np.stack([beside[:, near].max(1, initial=0.0) for near in level])
    below = np.clip((0.80 - y) / 0.1, 0, 1)[:, None]
    # The top of the sheet lies inside the hair of the scalp.
    gap = 0.014 * np.clip((0.90 - y) / 0.03, 0, 1)[:, None] - 0.008
    out = np.minimum(out + gap + 0.034 * below, _WIDEST + 0.04 * below)
    return np.asarray(np.maximum.accumulate(out * 0.985 ** np.arange(len(y))[:, None], 0))


def _bind(points: F32, pool: I64, canonical: F32) -> tuple[I64, F32]:
    """Return the nearest vertices of a pool ``(N, k)`` and their weights for each point."""
    near = canonical[pool]
    squared = dot(points, points)[:, None] + dot(near, near) - 2 * product(points, near.T)
    nearest = np.argpartition(squared, _NEIGHBORS, axis=1)[:, :_NEIGHBORS]
    distance = np.sqrt(np.maximum(np.take_along_axis(squared, nearest, 1), 0))
    weight = 1 / (distance + 0.02) ** 2
    return pool[nearest], (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def _grid(rows: int, columns: int) -> I64:
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    corners = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
    return np.asarray(corners.reshape(-1, 3), np.int64)
