"""The body: a mean shape with principal components, a skeleton of bones, and linear blend skinning.

The data is distilled from MakeHuman / MPFB2 (CC0 1.0, see LICENSE-body_asset.txt). World frame:
meters, y up, the person faces +z, so the person's left is +x. "Canonical" positions are those of
the mean body at rest: a place on the canonical body means the same on every person.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from sapiens_lab.synthetic.rendering.arrays import F32, I64, product
from sapiens_lab.synthetic.rendering.mesh import vertex_normals

ASSET = Path(__file__).with_name("body_asset.npz")

# Vertex ranges of the asset's meshes; garments are cut from "tights" and "skirt".
MESHES = {
    "body": slice(0, 13380),
    "tongue": slice(13380, 13606),
    "left_eye": slice(13606, 13678),
    "right_eye": slice(13678, 13750),
    "lower_teeth": slice(13750, 13818),
    "upper_teeth": slice(13818, 13886),
    "tights": slice(13886, 16560),
    "skirt": slice(16560, 17280),
}
NUM_VERTICES = 17280
# The order of `triangle_part` in the asset.
_TRIANGLE_MESHES = (
    "body", "left_eye", "right_eye", "tongue", "upper_teeth", "lower_teeth", "tights", "skirt",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posed:
    """A body in a pose, world frame [m]."""

    vertices: F32  # (V, 3)
    normals: F32  # (V, 3) about unit, those of the mean body rotated with the bones
    heads: F32  # (bones, 3) where each bone begins
    tails: F32  # (bones, 3) where it ends


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """The asset, unpacked."""

    mean: F32  # (V + 2 bones, 3) vertices, then bone heads, then bone tails [m]
    basis: F32  # (40, (V + 2 bones) * 3)
    coefficients: F32  # (1500, 40) sampled identities
    traits: F32  # (1500, 8) gender 1=female, age, muscle, weight, height, african, asian, caucasian
    triangles: dict[str, I64]  # mesh name -> (T, 3), outward faces counter-clockwise
    bones: dict[str, int]
    parents: I64  # (bones,) -1 for the root
    weights: F32  # (V, bones)
    masks: dict[str, F32]  # name -> (V,) in 0..1; zero off the body mesh
    actions: dict[str, tuple[I64, F32]]  # facial action -> vertices, moves [m] at full strength

    @property
    def canonical(self) -> F32:
        """Vertices ``(V, 3)`` of the mean body at rest."""
        return self.mean[:NUM_VERTICES]

    def head(self, bone: str) -> F32:
        """Where a bone of the mean body begins, ``(3,)``."""
        return np.asarray(self.mean[NUM_VERTICES + self.bones[bone]])

    def tail(self, bone: str) -> F32:
        """Where a bone of the mean body ends, ``(3,)``."""
        return np.asarray(self.mean[NUM_VERTICES + len(self.bones) + self.bones[bone]])

    @cached_property
    def normals(self) -> F32:
        """Unit normals ``(V, 3)`` of the mean body at rest."""
        return vertex_normals(self.canonical, np.concatenate(list(self.triangles.values())))

    @cached_property
    def levels(self) -> list[I64]:
        """Bones grouped by their distance from the root, root first."""
        depth = np.zeros(len(self.parents), np.int64)
        for bone, parent in enumerate(self.parents):  # parents come before their children
            depth[bone] = 0 if parent < 0 else depth[parent] + 1
        return [np.flatnonzero(depth == level) for level in range(depth.max() + 1)]

    def shape(self, coefficients: F32) -> F32:
        """Return the rest shape ``(V + 2 bones, 3)`` of an identity ``(40,)``."""
        moved: F32 = np.einsum("k,kn->n", coefficients, self.basis)
        return self.mean + moved.reshape(-1, 3)

    def express(self, shape: F32, actions: dict[str, float]) -> F32:
        """Return the shape with facial actions applied, each by its strength."""
        if not actions:
            return shape
        shape = shape.copy()
        for name, strength in actions.items():
            vertices, moves = self.actions[name]
            shape[vertices] += strength * moves
        return shape

    def joints(self, shape: F32, rotations: F32) -> tuple[F32, F32]:
        """Return every bone's world rotation ``(bones, 3, 3)`` and translation ``(bones, 3)``.

        Args:
            shape: rest shape.
            rotations: ``(bones, 3, 3)`` relative to the parent, about rest world axes.
        """
        heads = shape[NUM_VERTICES : NUM_VERTICES + len(self.bones)]
        R, t = rotations.copy(), np.empty_like(heads)
        root = self.levels[0]
        t[root] = heads[root] - np.einsum("nij,nj->ni", R[root], heads[root])
        for level in self.levels[1:]:
            parent = self.parents[level]
            moved = np.einsum("nij,nj->ni", R[parent], heads[level]) + t[parent]
            R[level] = R[parent] @ rotations[level]
            t[level] = moved - np.einsum("nij,nj->ni", R[level], heads[level])
        return R, t

    def skin(self, points: F32, weights: F32, joints: tuple[F32, F32]) -> F32:
        """Move rest points ``(N, 3)`` with their bone weights ``(N, bones)``."""
        R, t = joints
        blend = product(weights, np.concatenate([R.reshape(-1, 9), t], 1))  # (N, 12)
        rotated = np.einsum("nij,nj->ni", blend[:, :9].reshape(-1, 3, 3), points)
        return np.asarray(rotated + blend[:, 9:])

    def pose(self, shape: F32, joints: tuple[F32, F32]) -> Posed:
        """Return the posed body."""
        R, t = joints
        bones = len(self.bones)
        ends = shape[NUM_VERTICES:].reshape(2, bones, 3)
        heads, tails = (np.einsum("nij,nj->ni", R, end) + t for end in ends)
        blend = product(self.weights, np.concatenate([R.reshape(-1, 9), t], 1))  # (V, 12)
        rotation = blend[:, :9].reshape(-1, 3, 3)
        vertices = np.einsum("nij,nj->ni", rotation, shape[:NUM_VERTICES]) + blend[:, 9:]
        normals = np.einsum("nij,nj->ni", rotation, self.normals)
        return Posed(vertices=vertices, normals=normals, heads=heads, tails=tails)


@lru_cache(maxsize=1)
def load_body() -> Body:
    """Unpack the asset (about 0.1 s, once per process)."""
    with np.load(ASSET) as file:
        z = {name: file[name] for name in file.files}
    basis = z["basis"].astype(np.float32) * z["basis_scale"][:, None, None]
    bounds = z["action_bounds"]
    moves = [
        (z["action_vertices"][a:b].astype(np.int64), z["action_moves"][a:b].astype(np.float32))
        for a, b in pairwise(bounds)
    ]
    masks = z["masks"].T.astype(np.float32) / 255
    return Body(
        mean=z["mean"],
        basis=basis.reshape(len(basis), -1),
        coefficients=z["coefficients"].astype(np.float32),
        traits=z["traits"].astype(np.float32),
        triangles={
            name: z["triangles"][z["triangle_part"] == i].astype(np.int64)
            for i, name in enumerate(_TRIANGLE_MESHES)
        },
        bones={str(name): i for i, name in enumerate(z["bones"])},
        parents=z["parents"].astype(np.int64),
        weights=_dense_weights(z["skin_bones"], z["skin_weights"], len(z["bones"])),
        masks=dict(zip([str(name) for name in z["mask_names"]], masks, strict=True)),
        actions=dict(zip([str(name) for name in z["action_names"]], moves, strict=True)),
    )


def _dense_weights(bones: np.ndarray, weights: np.ndarray, num_bones: int) -> F32:
    """Spread four weights per vertex ``(V, 4)`` over all bones; dense is faster to multiply."""
    dense = np.zeros((len(bones), num_bones), np.float32)
    fraction = weights.astype(np.float32) / weights.sum(1, keepdims=True, dtype=np.float32)
    np.add.at(dense, (np.arange(len(bones))[:, None], bones.astype(np.int64)), fraction)
    return dense
