"""Keep limbs out of the body: find how deep they sink in, and draw them again.

A few hundred vertices stand for the surface. A limb's vertex is inside an obstacle when it lies
behind the tangent plane of the nearest obstacle vertex; where the nearest one is far away the
answer does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sapiens_lab.synthetic.people.body import Body, load_body
from sapiens_lab.synthetic.people.materials import Material
from sapiens_lab.synthetic.people.poses import Pose, redraw_arm, rotations
from sapiens_lab.synthetic.people.regions import load_regions, on_body
from sapiens_lab.synthetic.rendering.arrays import F32, I64, Rng, dot, product

TOLERANCE = 0.012  # [m] flesh gives way this much
_TRIES = 12
_REACH = 0.12  # [m] a vertex deeper than this would be nearest to the other side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Probes:
    """Vertex ids that stand for the surface, and which limbs must avoid which vertices."""

    vertices: I64  # (P,) into the body
    weights: F32  # (P, bones)
    normals: F32  # (P, 3) canonical
    limbs: tuple[I64, I64, I64]  # into `vertices`: left arm, right arm, right leg
    obstacles: tuple[I64, I64, I64]  # into `vertices`: what each limb must avoid


@lru_cache(maxsize=1)
def _probes() -> _Probes:
    body, regions = load_body(), load_regions()
    # Every ninth is even enough, as neighbors have neighboring numbers; face and hands are dense.
    everywhere = np.flatnonzero(on_body())
    dense = np.isin(regions.region[everywhere], (Material.FACE, Material.HAND))
    chosen = np.sort(np.concatenate([everywhere[~dense][::9], everywhere[dense][::27]]))
    region, x = regions.region[chosen], body.canonical[chosen, 0]
    fore = (region == Material.LOWER_ARM) | (region == Material.HAND)
    arm = fore | ((region == Material.UPPER_ARM) & (regions.arm[chosen] > 0.3))
    leg = (region == Material.LOWER_LEG) | (region == Material.FOOT)
    thigh = (region == Material.UPPER_LEG) & (regions.leg[chosen] > 0.25)
    trunk = (region == Material.TORSO) | (region == Material.FACE)
    left = x > 0
    anywhere = trunk | leg | (region == Material.UPPER_LEG)
    find = np.flatnonzero
    return _Probes(
        vertices=chosen,
        weights=body.weights[chosen],
        normals=body.normals[chosen],
        limbs=(find(arm & left), find(arm & ~left), find((leg | thigh) & ~left)),
        obstacles=(find(anywhere | (fore & ~left)), find(anywhere), find((leg | thigh) & left)),
    )


def penetration(body: Body, shape: F32, pose: Pose) -> F32:
    """Return how deep [m] the arms and legs (left arm, right arm, right leg) sink in."""
    probes = _probes()
    joints = body.joints(shape, rotations(body, pose))
    points = body.skin(shape[probes.vertices], probes.weights, joints)
    normals = body.skin(probes.normals, probes.weights, (joints[0], np.zeros_like(joints[1])))
    depth = [
        _depth(points[limb], points[obstacle], normals[obstacle])
        for limb, obstacle in zip(probes.limbs, probes.obstacles, strict=True)
    ]
    return np.array(depth, np.float32)


def _depth(limb: F32, obstacle: F32, normal: F32) -> float:
    squared = (
        dot(limb, limb)[:, None] + dot(obstacle, obstacle) - 2 * product(limb, obstacle.T)
    )  # (N, M)
    nearest = squared.argmin(1)
    offset = limb - obstacle[nearest]
    depth = -dot(offset, normal[nearest])
    depth[dot(offset, offset) > _REACH**2] = 0
    return float(depth.max(initial=0))


def resolve(rng: Rng, body: Body, shape: F32, pose: Pose) -> Pose:
    """Return the pose with colliding limbs drawn again, and in the end held away from the body."""
    for attempt in range(_TRIES):
        bad = penetration(body, shape, pose) > TOLERANCE
        if not bad.any():
            break
        for side in np.flatnonzero(bad[:2]):
            if attempt < _TRIES // 2:
                pose = redraw_arm(rng, pose, int(side))
            else:
                pose = _spread_arm(pose, int(side))
        if bad[2]:
            pose = _spread_legs(pose)
    return pose


def _spread_arm(pose: Pose, side: int) -> Pose:
    """Lift one arm sideways and straighten it."""
    arms = list(pose.arms)
    arm = arms[side]
    lift = min(max(arm.lift, -35) + 9, 60)
    arms[side] = replace(
        arm, lift=lift, forward=0.6 * arm.forward, elbow=0.6 * arm.elbow, twist=0.6 * arm.twist
    )
    return replace(pose, arms=(arms[0], arms[1]))


def _spread_legs(pose: Pose) -> Pose:
    left, right = (
        replace(leg, spread=leg.spread + 4, rotation=0.5 * leg.rotation, knee=0.95 * leg.knee)
        for leg in pose.legs
    )
    return replace(pose, legs=(left, right))
