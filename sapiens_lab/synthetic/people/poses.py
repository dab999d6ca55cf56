"""Draw what a body does, as meaningful joint angles in degrees, and convert them to rotations.

Angles are drawn per limb so that one arm can be drawn again when it runs into something
(see ``collisions.py``) while the rest of the pose stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from sapiens_lab.synthetic.people.body import Body, load_body
from sapiens_lab.synthetic.rendering.arrays import F32, F64, Rng
from sapiens_lab.synthetic.rendering.rotations import about_axis, about_x, about_y, about_z

PoseKind = Literal["stand", "walk", "arms_up", "sit", "crouch", "free", "t_pose"]
_KINDS: tuple[PoseKind, ...] = ("stand", "walk", "arms_up", "sit", "crouch", "free", "t_pose")
_PROBABILITIES = (0.25, 0.2, 0.15, 0.12, 0.06, 0.2, 0.02)
SIDES = ((".L", 1.0), (".R", -1.0))  # bone suffix, sign of x
_SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
_NECK = (("neck01", 0.2), ("neck02", 0.2), ("neck03", 0.2), ("head", 0.4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Angles of one arm [degrees]; the rest pose hangs about 45 degrees below the horizontal."""

    lift: float  # about the front axis, up; -38 hangs at the side, 47 is horizontal
    forward: float
    twist: float  # of the upper arm
    elbow: float
    roll: float  # of the forearm
    wrist: tuple[float, float]
    curl: tuple[tuple[float, float, float], ...]  # five fingers, three joints


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Angles of one leg [degrees]."""

    hip: float  # forward
    spread: float
    rotation: float  # outward, about the thigh
    knee: float
    ankle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Angles [degrees] of a whole body; pairs are (left, right)."""

    kind: PoseKind
    spine: tuple[float, float, float]  # bend forward, lean, twist
    neck: tuple[float, float, float]  # pitch, roll, yaw
    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    phase: float  # of the walk, -1..1


def sample_pose(rng: Rng) -> Pose:
    """Draw a pose."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_PROBABILITIES))]
    if kind == "free":
        spine = (rng.normal(4, 16), rng.normal(0, 11), rng.normal(0, 16))
    else:
        spine = (rng.normal(0, 6), rng.normal(0, 5), rng.normal(0, 8))
    if kind in ("sit", "crouch"):
        spine = (spine[0] + abs(rng.normal(0, 12)), *spine[1:])
    phase = rng.uniform(-1, 1)
    return Pose(
        kind=kind,
        spine=spine,
        neck=(rng.normal(0, 12), rng.normal(0, 8), float(np.clip(rng.normal(0, 22), -55, 55))),
        arms=(draw_arm(rng, kind, phase), draw_arm(rng, kind, -phase)),
        legs=(draw_leg(rng, kind, -phase), draw_leg(rng, kind, phase)),
        phase=phase,
    )


def draw_arm(rng: Rng, kind: PoseKind, swing: float) -> Arm:
    """Draw one arm; ``swing`` -1..1 is where it is in a walk."""
    lift, forward, elbow = rng.normal(-38, 8), rng.normal(0, 12), abs(rng.normal(8, 14))
    if kind == "walk":
        forward, elbow = 30 * swing + rng.normal(0, 8), abs(rng.normal(25, 20))
    elif kind == "arms_up" and rng.random() < 0.8:
        lift, forward, elbow = rng.uniform(0, 110), rng.normal(5, 25), abs(rng.normal(20, 35))
    elif kind == "sit":
        forward, elbow = rng.uniform(-5, 50), abs(rng.normal(30, 30))
    elif kind == "crouch":
        forward, elbow = rng.normal(30, 25), abs(rng.normal(30, 30))
    elif kind == "free":
        lift, forward, elbow = rng.uniform(-45, 90), rng.normal(15, 40), abs(rng.normal(35, 40))
    elif kind == "t_pose":
        lift, forward, elbow = 47.0, 0.0, 0.0
    curl = float(np.clip(rng.normal(25, 30), -5, 85))
    bend = curl + rng.normal(0, 6, (5, 3))
    bend *= np.array([0.45, 1, 1, 1, 1])[:, None] * (0.75, 1, 1)
    return Arm(
        lift=float(np.clip(lift, -50, 115)),
        forward=float(np.clip(forward, -60, 110)),
        twist=rng.normal(0, 18),
        elbow=min(elbow, 130),
        roll=rng.normal(0, 25),
        wrist=(rng.normal(0, 12), rng.normal(0, 12)),
        curl=tuple((float(a), float(b), float(c)) for a, b, c in bend),
    )


def draw_leg(rng: Rng, kind: PoseKind, swing: float) -> Leg:
    """Draw one leg; ``swing`` -1..1 is where it is in a walk."""
    hip, spread, knee = rng.normal(0, 4), rng.normal(3, 4), abs(rng.normal(0, 6))
    if kind == "walk":
        hip = 28 * swing + rng.normal(0, 5)
        knee = max(0.0, 0.5 * hip) + abs(rng.normal(8, 10))
    elif kind == "sit":
        hip, spread, knee = rng.normal(80, 10), rng.normal(9, 7), rng.normal(80, 15)
    elif kind == "crouch":
        hip, spread, knee = rng.normal(82, 12), rng.normal(14, 7), rng.normal(105, 14)
    elif kind == "free":
        hip, spread, knee = rng.normal(15, 25), rng.normal(10, 10), abs(rng.normal(15, 30))
    hip, knee = float(np.clip(hip, -35, 95)), float(np.clip(knee, 0, 135))
    flat = kind in ("sit", "crouch")  # the sole stays about level
    ankle = 0.5 * (hip - knee) if flat else rng.normal(0, 8) * 0.5
    return Leg(
        hip=hip,
        spread=float(np.clip(spread, -6, 35)),
        rotation=rng.normal(5, 6),
        knee=knee,
        ankle=float(np.clip(ankle, -25, 20)),
    )


def redraw_arm(rng: Rng, pose: Pose, side: int) -> Pose:
    """Draw the left (0) or right (1) arm again."""
    swing = pose.phase if side == 0 else -pose.phase
    arms = list(pose.arms)
    arms[side] = draw_arm(rng, pose.kind, swing)
    return replace(pose, arms=(arms[0], arms[1]))


def rotations(body: Body, pose: Pose) -> F32:
    """Return each bone's rotation ``(bones, 3, 3)`` relative to its parent."""
    out = np.broadcast_to(np.eye(3, dtype=np.float32), (len(body.bones), 3, 3)).copy()
    bend, lean, twist = np.radians(pose.spine) / len(_SPINE)
    for name in _SPINE:
        out[body.bones[name]] = about_x(bend) @ about_z(lean) @ about_y(twist)
    pitch, roll, yaw = np.radians(pose.neck)
    for name, part in _NECK:
        out[body.bones[name]] = about_x(part * pitch) @ about_z(part * roll) @ about_y(part * yaw)
    for (suffix, sign), arm, leg in zip(SIDES, pose.arms, pose.legs, strict=True):
        for name, rotation in {**_arm(body, arm, suffix, sign), **_leg(leg, sign)}.items():
            out[body.bones[name + suffix]] = rotation
    return np.asarray(out)


def _arm(body: Body, arm: Arm, suffix: str, sign: float) -> dict[str, F64]:
    rad = math.radians
    upper = body.head("lowerarm01" + suffix) - body.head("upperarm01" + suffix)
    fore = body.head("wrist" + suffix) - body.head("lowerarm01" + suffix)
    collar = float(np.clip(arm.lift - 10, 0, 100)) * 0.25  # the shoulder blade moves as well
    swing = (
        about_y(-sign * rad(0.35 * arm.forward))
        @ about_x(-rad(arm.forward))
        @ about_z(sign * rad(arm.lift - collar))
    )
    half_twist = about_axis(upper, rad(arm.twist) / 2)
    out = {
        "clavicle": about_z(sign * rad(collar)),
        "upperarm01": swing @ half_twist,
        "upperarm02": half_twist,
        "lowerarm01": about_axis(_elbow_axis(suffix), rad(arm.elbow)),
        "lowerarm02": about_axis(fore, rad(arm.roll)),
        "wrist": about_x(rad(arm.wrist[0])) @ about_z(rad(arm.wrist[1])),
    }
    for finger, joints in enumerate(arm.curl, start=1):
        axis = _finger_axis(finger, suffix)
        for joint, angle in enumerate(joints, start=1):
            out[f"finger{finger}-{joint}"] = about_axis(axis, rad(angle))
    return out


def _leg(leg: Leg, sign: float) -> dict[str, F64]:
    rad = math.radians
    hip = (
        about_x(-rad(leg.hip)) @ about_z(sign * rad(leg.spread)) @ about_y(sign * rad(leg.rotation))
    )
    return {
        "upperleg01": hip,
        "lowerleg01": about_x(rad(leg.knee)),
        "foot": about_x(rad(leg.ankle)),
    }


@lru_cache(maxsize=2)
def _elbow_axis(suffix: str) -> F32:
    """Return the axis ``(3,)`` about which the elbow bends, from the slight bend at rest."""
    body = load_body()
    shoulder, elbow = body.head("upperarm01" + suffix), body.head("lowerarm01" + suffix)
    return np.asarray(np.cross(elbow - shoulder, body.head("wrist" + suffix) - elbow))


@lru_cache(maxsize=10)
def _finger_axis(finger: int, suffix: str) -> F32:
    body = load_body()
    p = [body.head(f"finger{finger}-{joint}{suffix}") for joint in (1, 2, 3)]
    tip = body.tail(f"finger{finger}-3{suffix}")
    return np.asarray(np.cross(p[1] - p[0], tip - p[1]))
