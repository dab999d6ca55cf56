"""What each vertex of the body is: fields over the surface that clothes, hair and labels use.

A field is positive inside and crosses zero at the border, so that a border can be drawn where the
field *interpolates* to zero instead of along the edges of triangles. All are computed once from
the canonical body.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sapiens_lab.synthetic.people.body import MESHES, NUM_VERTICES, Body, load_body
from sapiens_lab.synthetic.people.materials import NUM_REGIONS, Material
from sapiens_lab.synthetic.rendering.arrays import F32, I64, U8, Bool

_REGION_BONES = {
    Material.FACE: ("head", "neck", "jaw", "eye"),
    Material.UPPER_ARM: ("upperarm",),
    Material.LOWER_ARM: ("lowerarm",),
    Material.HAND: ("wrist", "metacarpal", "finger"),
    Material.UPPER_LEG: ("upperleg",),
    Material.LOWER_LEG: ("lowerleg",),
    Material.FOOT: ("foot", "toe"),
}
_OUTSIDE = np.float32(-1)
# Height of the hairline [m, canonical] by azimuth from the front [degrees]; same on both sides.
_HAIRLINE_AZIMUTH = (0, 25, 50, 66, 76, 88, 97, 108, 125, 150, 180)
_HAIRLINE_Y = (0.936, 0.934, 0.924, 0.905, 0.87, 0.845, 0.862, 0.862, 0.805, 0.785, 0.782)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regions:
    """Fields over all ``V`` vertices; lengths in canonical meters unless said otherwise."""

    region: U8  # (V,) skin material with the largest weight
    region_scores: F32  # (V, 8) fraction of the skin materials, rows sum to 1
    arm: F32  # (V,) 0 at the shoulder, 0.5 elbow, 1 wrist; -1 off the arms
    arm_weight: F32  # (V,) fraction of the arm's bones
    leg: F32  # (V,) 0 at the hip, 1 at the ankle, by height; negative above
    y: F32  # (V,) height
    hairline: F32  # (V,) distance above the hairline; -1 off the head and on the ears
    upper_lip: F32  # (V,) field
    lower_lip: F32  # (V,) field
    mouth: F32  # (V,) field: inside of the mouth
    hip_y: float
    neck_y: float
    eye: F32  # (3,) center of the left eye


@lru_cache(maxsize=1)
def load_regions() -> Regions:
    """Compute the fields (about 30 ms, once per process)."""
    body = load_body()
    scores = _region_scores(body)
    arm, arm_weight = _along_arm(body)
    region = scores.argmax(1).astype(np.uint8)
    upper, lower = _lips(body)
    y = body.canonical[:, 1].copy()
    hip, ankle = float(body.head("upperleg01.L")[1]), float(body.head("foot.L")[1])
    return Regions(
        region=region,
        region_scores=scores,
        arm=arm,
        arm_weight=arm_weight,
        leg=((hip - y) / (hip - ankle)).astype(np.float32),
        y=y,
        hairline=_hairline(body, region),
        upper_lip=upper,
        lower_lip=lower,
        mouth=body.masks["inside-mouth"] - np.float32(0.5),
        hip_y=hip,
        neck_y=float(body.head("neck01")[1]),
        eye=body.canonical[MESHES["left_eye"]].mean(0),
    )


def on_body() -> Bool:
    """Mark the vertices ``(V,)`` of the body mesh itself."""
    mask = np.zeros(NUM_VERTICES, bool)
    mask[MESHES["body"]] = True
    return mask


def _region_scores(body: Body) -> F32:
    scores = np.zeros((NUM_VERTICES, NUM_REGIONS), np.float32)
    for name, bone in body.bones.items():
        owner = next((m for m, p in _REGION_BONES.items() if name.startswith(p)), Material.TORSO)
        scores[:, owner] += body.weights[:, bone]
    return scores


def _lips(body: Body) -> tuple[F32, F32]:
    """Split the lips at the mouth's slit: the median height of the lip vertices."""
    field = body.masks["lips"] - np.float32(0.4)
    y = body.canonical[:, 1]
    above = y > np.median(y[field > 0])
    return np.where(above, field, _OUTSIDE), np.where(above, _OUTSIDE, field)


def _along_arm(body: Body) -> tuple[F32, F32]:
    arm = np.full(NUM_VERTICES, _OUTSIDE)
    total = np.zeros(NUM_VERTICES, np.float32)
    bones = ("upperarm", "lowerarm", "wrist", "metacarpal", "finger")
    for side in (".L", ".R"):
        columns = [i for n, i in body.bones.items() if n.startswith(bones) and n.endswith(side)]
        weight = body.weights[:, columns].sum(1)
        total += weight
        on_arm = weight > 0.02
        shoulder, elbow = body.head("upperarm01" + side), body.head("lowerarm01" + side)
        upper, lower = elbow - shoulder, body.head("wrist" + side) - elbow
        u = (body.canonical - shoulder) @ upper / (upper @ upper)
        v = (body.canonical - elbow) @ lower / (lower @ lower)
        along = np.where(v > 0, 0.5 + 0.5 * v, np.minimum(0.5, 0.5 * u))
        arm[on_arm] = along[on_arm]
    return arm, total


def _hairline(body: Body, region: U8) -> F32:
    """Measure the height above a smooth line around the head; the ears stay free."""
    x, y, z = body.canonical.T
    azimuth = np.degrees(np.arctan2(np.abs(x), z - body.head("head")[2]))
    field = (y - np.interp(azimuth, _HAIRLINE_AZIMUTH, _HAIRLINE_Y)).astype(np.float32)
    ears = body.masks["ears"]
    field = np.where(ears > 0.02, np.minimum(field, 0.02 - 0.1 * ears), field)
    off = ~on_body() | (region != Material.FACE) | (body.masks["inside-mouth"] > 0.5)
    return np.asarray(np.where(off, _OUTSIDE, field).astype(np.float32))


def vertices_near(points: F32, pool: I64, canonical: F32) -> I64:
    """Return, for canonical points ``(N, 3)``, the nearest vertex ids of a pool."""
    distance = np.linalg.norm(canonical[pool][None] - points[:, None], axis=2)
    return np.asarray(pool[distance.argmin(1)])
