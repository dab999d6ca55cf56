"""Where the 133 whole-body points, and those of the 308 that a mesh really has, lie on the body.

A landmark is a weighted mean of up to three points of the body: mesh vertices, beginnings and ends
of bones. The joints of limbs are bone heads; points of the face are vertices picked on the
canonical face, or cast onto it where the mesh is coarse. Of the 308 points, those of the ears, lash
lines, creases, nostrils and of the nose bridge are left out: the mesh does not say where they are.

Numbered midpoints of the 308 set run from left to right in the image of a person facing us, as
its left/right pairs imply; clock positions of iris and pupil are as seen by the viewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sapiens_lab.anatomy.matching import match_names
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.synthetic.people.body import MESHES, NUM_VERTICES, Body, Posed, load_body
from sapiens_lab.synthetic.people.regions import load_regions, vertices_near
from sapiens_lab.synthetic.rendering.arrays import F32, I64, Bool

# Vertices of the 68 face points in the order of COCO-WholeBody; brows (17-26) are cast instead.
_FACE_VERTICES = (
    5735, 5759, 866, 5241, 5240, 915, 917, 5292, 5225, 11898, 7619, 7617, 11849, 11850, 7571, 12356,
    12332, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 132, 131, 201, 5054, 286, 313, 317, 7076, 7055,
    145, 9, 54, 67, 1071, 1065, 6851, 6838, 6793, 6923, 7757, 7763, 425, 5354, 450, 455, 7210,
    11956, 7185, 7235, 7241, 492, 486, 480, 416, 5360, 474, 11962, 7176, 7236, 493, 481,
)  # fmt: skip
# Vertices on the person's right lip contours, from the corner to the center (1/4, 1/2, 3/4).
_LIPS = {
    "upper_outer": (410, 409, 450),
    "lower_outer": (406, 480, 486),
    "upper_inner": (417, 5360, 472),
    "lower_inner": (437, 481, 487),
}
_MIDLINE = {
    "center_of_glabella": 227,
    "center_of_nose_root": 132,
    "tip_of_nose": 5054,
    "bottom_center_of_nose": 317,
    "center_of_labiomental_groove": 724,
    "tip_of_chin": 5171,
    "center_of_cupid_bow": 455,
    "center_of_lower_outer_lip": 492,
    "center_of_upper_inner_lip": 474,
    "center_of_lower_inner_lip": 493,
}
_SIDED_FACE = {"outer_corner_of_nose": 5146, "outer_corner_of_mouth": 425,
               "inner_corner_of_mouth": 416}  # fmt: skip
_JOINTS = {
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist",
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot",
}  # fmt: skip
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
# Vertices of the person's right arm and foot: behind and before the elbow, above the shoulder.
_SIDED_BODY = {"olecranon": 3408, "cubital_fossa": 3313, "acromion": 1557, "heel": 6218}
# [m] how far below the visible surface a point may lie and still count as seen.
_DEEP = (
    ("hip", 0.13), ("shoulder", 0.10), ("neck", 0.09), ("knee", 0.085), ("elbow", 0.065),
    ("ankle", 0.065), ("heel", 0.05), ("wrist", 0.045), ("hand_root", 0.045), ("acromion", 0.05),
    ("olecranon", 0.035), ("cubital", 0.035), ("ear", 0.04),
)  # fmt: skip
_SHALLOW = 0.02
IRIS_RADIUS, PUPIL_RADIUS = 0.0062, 0.0026  # [m] on the canonical eye
BROW_HALF_LENGTH, BROW_HALF_WIDTH = 0.021, 0.0042  # [m]
_CLOCK = ("3", "midpoint_1", "12", "midpoint_4", "9", "midpoint_3", "6", "midpoint_2")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landmarks:
    """Every point that the body knows, by name."""

    names: tuple[str, ...]
    points: I64  # (N, 3) into [vertices, bone heads, bone tails]
    weights: F32  # (N, 3), rows sum to 1
    flip_indices: I64  # (N,) the point that each becomes under a horizontal flip
    depth: F32  # (N,) [m] how far under the surface the point may lie

    def locate(self, posed: Posed) -> F32:
        """Return world positions ``(N, 3)`` [m] on a posed body."""
        everything = np.concatenate([posed.vertices, posed.heads, posed.tails])
        return np.asarray(np.einsum("nk,nkc->nc", self.weights, everything[self.points]))


def brow_height(x: F32, eye: F32) -> F32:
    """Return the canonical height of a brow's center line at distance ``x`` from the midline."""
    return np.asarray(eye[1] + 0.021 - 15 * (x - eye[0]) ** 2)


@lru_cache(maxsize=1)
def load_landmarks() -> Landmarks:
    """Collect all landmarks (about 10 ms, once per process)."""
    builder = _Builder(load_body())
    _add_body(builder)
    _add_hands(builder)
    _add_face68(builder)
    _add_goliath_face(builder)
    _add_eyes(builder)
    return builder.build()


def match_landmarks(skeleton: Skeleton) -> tuple[I64, Bool]:
    """Return, for each keypoint of a skeleton, its landmark and whether the body has it.

    Raises:
        ValueError: the body has none of them.
    """
    places = {name: i for i, name in enumerate(load_landmarks().names)}
    found = match_names(skeleton.keypoints, places, skeleton.aliases)
    known = np.array([i is not None for i in found], bool)
    if not known.any():
        raise ValueError(
            f"the rendered body has none of the keypoints of skeleton {skeleton.name!r}; it knows "
            "those of coco17, wholebody133 and 168 of goliath308"
        )
    return np.array([i or 0 for i in found], np.int64), known


class _Builder:
    """Collects landmarks; a flip maps each group onto itself."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.names: list[str] = []
        self.groups: list[str] = []
        self.points: list[tuple[int, int, int]] = []
        self.weights: list[tuple[float, float, float]] = []

    def vertex(self, group: str, name: str, vertex: int) -> None:
        self.names.append(name)
        self.groups.append(group)
        self.points.append((vertex, vertex, vertex))
        self.weights.append((1.0, 0.0, 0.0))

    def flipped(self, group: str, left: str, right: str, right_vertex: int) -> None:
        self.vertex(group, left, self.opposite(right_vertex))
        self.vertex(group, right, right_vertex)

    def opposite(self, vertex: int) -> int:
        place = self.body.canonical[vertex] * np.array([-1, 1, 1], np.float32)
        pool = np.arange(MESHES["body"].stop)
        return int(vertices_near(place[None], pool, self.body.canonical)[0])

    def head(self, group: str, name: str, bone: str) -> None:
        self.vertex(group, name, NUM_VERTICES + self.body.bones[bone])

    def tail(self, group: str, name: str, bone: str) -> None:
        self.vertex(group, name, NUM_VERTICES + len(self.body.bones) + self.body.bones[bone])

    def cast(self, group: str, name: str, mesh: str, x: float, y: float) -> None:
        """Add the foremost point of a mesh at canonical ``(x, y)``."""
        points, weights = _cast(self.body, mesh, x, y)
        self.names.append(name)
        self.groups.append(group)
        self.points.append(points)
        self.weights.append(weights)

    def build(self) -> Landmarks:
        points, weights = np.array(self.points), np.array(self.weights, np.float32)
        place = np.einsum("nk,nkc->nc", weights, self.body.mean[points])
        depth = [next((d for key, d in _DEEP if key in name), _SHALLOW) for name in self.names]
        return Landmarks(
            names=tuple(self.names),
            points=points,
            weights=weights,
            flip_indices=_flip_indices(place, np.array(self.groups)),
            depth=np.array(depth, np.float32),
        )


def _flip_indices(place: F32, group: np.ndarray) -> I64:
    """Pair every landmark with that of its group nearest to its flipped position."""
    flipped = place * np.array([-1, 1, 1], np.float32)
    distance = np.linalg.norm(flipped[:, None] - place[None], axis=2)
    distance[group[:, None] != group[None]] = np.inf
    index = distance.argmin(1)
    assert (index[index] == np.arange(len(index))).all(), "landmarks do not pair up"
    return np.asarray(index, np.int64)


def _cast(
    body: Body, mesh: str, x: float, y: float
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    triangles = body.triangles[mesh]
    a, b, c = (body.canonical[triangles[:, i]].astype(np.float64) for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    u = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) / area
    v = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) / area
    w = 1 - u - v
    z = np.where((u >= 0) & (v >= 0) & (w >= 0), u * a[:, 2] + v * b[:, 2] + w * c[:, 2], -np.inf)
    best = int(z.argmax())
    i, j, k = (int(vertex) for vertex in triangles[best])
    return (i, j, k), (float(u[best]), float(v[best]), float(w[best]))


def _add_body(builder: _Builder) -> None:
    body = builder.body
    builder.vertex("body", "nose", _MIDLINE["tip_of_nose"])
    ears = np.flatnonzero(body.masks["ears"] > 0.5)
    for side, sign, suffix in (("left", 1, ".L"), ("right", -1, ".R")):
        own = body.canonical[ears, 0] * sign > 0
        middle = body.canonical[ears[own]].mean(0)
        eye = MESHES[f"{side}_eye"]
        front = eye.start + int(body.canonical[eye, 2].argmax())
        builder.vertex("body", f"{side}_eye", front)
        ear = int(vertices_near(middle[None], ears[own], body.canonical)[0])
        builder.vertex("body", f"{side}_ear", ear)
        for name, bone in _JOINTS.items():
            builder.head("body", f"{side}_{name}", bone + suffix)
        builder.tail("body", f"{side}_big_toe", "toe1-2" + suffix)
        builder.tail("body", f"{side}_small_toe", "toe5-3" + suffix)
    builder.head("body", "neck", "neck01")
    for name, vertex in _SIDED_BODY.items():
        builder.flipped("body", f"left_{name}", f"right_{name}", vertex)


def _add_hands(builder: _Builder) -> None:
    for side, suffix in (("left", ".L"), ("right", ".R")):
        builder.head("hand", f"{side}_hand_root", "wrist" + suffix)
        for finger, name in enumerate(_FINGERS, start=1):
            for joint in (1, 2, 3):
                bone = f"finger{finger}-{joint}{suffix}"
                builder.head("hand", f"{side}_{name}{joint}", bone)
            builder.tail("hand", f"{side}_{name}4", f"finger{finger}-3{suffix}")
            first = f"finger{finger}-1{suffix}"  # the 308 set counts the knuckles from the tip
            builder.head("knuckle", f"{side}_{name}_third_joint", first)


def _add_face68(builder: _Builder) -> None:
    eye = load_regions().eye
    for i, vertex in enumerate(_FACE_VERTICES):
        if vertex >= 0:
            builder.vertex("face68", f"face-{i}", vertex)
            continue
        # 17-21 run over the right brow from outside in, 22-26 over the left one from inside out.
        along = (19 - i if i < 22 else i - 24) / 2 * BROW_HALF_LENGTH
        x = float(eye[0]) + along
        y = float(brow_height(np.float32(x), eye))
        builder.cast("face68", f"face-{i}", "body", -x if i < 22 else x, y)


def _add_goliath_face(builder: _Builder) -> None:
    group = "face308"
    for name, vertex in _MIDLINE.items():
        builder.vertex(group, name, vertex)
    for name, vertex in _SIDED_FACE.items():
        builder.flipped(group, f"l_{name}", f"r_{name}", vertex)
    for lip, (outer, half, inner) in _LIPS.items():
        upper, edge = lip.split("_")
        for right, left, vertex in ((1, 2, half), (3, 6, outer), (4, 5, inner)):
            names = [f"midpoint_{n}_of_{upper}_{edge}_lip" for n in (left, right)]
            builder.flipped(f"{group} {lip}", names[0], names[1], vertex)
    eye = load_regions().eye
    for side, sign in (("l", 1), ("r", -1)):
        midpoints = {0.0: "1", -0.5 * sign: "2", 0.5 * sign: "3"}  # in image order
        for edge, up in (("upper", 1), ("lower", -1)):
            ends = {-0.92: f"{edge}_startpoint_of_{side}_eyebrow"}
            mids = {u: f"{edge}_midpoint_{n}_of_{side}_eyebrow" for u, n in midpoints.items()}
            for u, name in {**ends, **mids}.items():
                _cast_brow(builder, name, eye, sign, u, up)
        _cast_brow(builder, f"end_of_{side}_eyebrow", eye, sign, 1.0, 0)


def _cast_brow(builder: _Builder, name: str, eye: F32, sign: int, u: float, up: int) -> None:
    """Add a point of the brow's outline; ``u`` runs from -1 at the nose to 1 at the temple."""
    x = float(eye[0]) + u * BROW_HALF_LENGTH
    half = BROW_HALF_WIDTH * math.sqrt(max(0.0, 1 - u * u))
    y = float(brow_height(np.float32(x), eye)) + up * half
    builder.cast("brow308", name, "body", sign * x, y)


def _add_eyes(builder: _Builder) -> None:
    eye = load_regions().eye
    for side, mesh, sign in (("l", "left_eye", 1), ("r", "right_eye", -1)):
        x, y = sign * float(eye[0]), float(eye[1])
        for ring, radius in (("iris", IRIS_RADIUS), ("pupil", PUPIL_RADIUS)):
            builder.cast(ring, f"{side}_center_of_{ring}", mesh, x, y)
            for step, clock in enumerate(_CLOCK):  # from 3 o'clock, against the clock
                angle = step * math.pi / 4
                dx, dy = radius * math.cos(angle), radius * math.sin(angle)
                builder.cast(ring, f"{side}_border_of_{ring}_{clock}", mesh, x + dx, y + dy)
