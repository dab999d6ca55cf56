"""Read a user's own scan: any mesh file, put upright on the floor in meters.

A scan gives what the built-in people cannot: real cloth, real faces. It has no skeleton and no
parts, so it serves depth and normals, as the scans of Sapiens' own depth and normal data do.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.synthetic.rendering.arrays import F32, F64, I32, I64, U8
from sapiens_lab.synthetic.rendering.mesh import vertex_normals

FORMATS = (".obj", ".ply", ".glb", ".gltf", ".stl", ".off")
CLAY = (168, 160, 150)  # 8-bit sRGB of a scan without colors
_TALL = (0.02, 30.0)  # [m] heights between which a unit is taken for meters
_CREASE = 40.0  # [degrees] a face this far from its vertex' mean normal is across an edge
_SAME = 1e-6  # fractions of the extent: vertices this near are one
_DEFAULT_GRAY = (102, 102, 102)  # trimesh's color of a material that has none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """A mesh in the world frame: y up, feet at y = 0, centered above the origin, meters.

    Colors belong to the corners of triangles, so seams of textures and sharp edges need no
    duplicated vertices.
    """

    name: str
    sha256: str  # of the file
    vertices: F32  # (V, 3) [m]
    triangles: I64  # (T, 3)
    faces: F32  # (T, 3) unit normals of the triangles; 0 where a triangle has no area
    normals: F32  # (T, 3, 3) unit normals at the corners
    colors: U8  # (T, 3, 3) sRGB at the corners, where there is no texture
    uv: F32  # (T, 3, 2) u right, v up, 0..1 spans the texture
    texture: I32  # (T,) which texture, -1 none
    textures: tuple[U8, ...]  # (h, w, 3) sRGB each
    placement: F64  # (4, 4) from the file's coordinates to the world frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """One mesh of a file."""

    vertices: F64  # (V, 3)
    triangles: I64  # (T, 3)
    colors: U8  # (T, 3, 3)
    uv: F32  # (T, 3, 2)
    texture: U8 | None  # (h, w, 3)


def load_scan(
    path: str | Path, *, up: Literal["y", "z"] = "y", height_m: float | None = 1.75
) -> Scan:
    """Read a mesh and place it in the world frame.

    Args:
        path: OBJ, PLY, GLB, glTF, STL or OFF.
        up: which axis of the file points up; with y the person should face z, with z they should
            face -y.
        height_m: scale to this height; ``None`` if the file's unit is the meter already.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: trimesh is not installed.
        ValueError: the file is not a mesh with triangles, or not in meters although it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no mesh {path}")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path} is none of {', '.join(FORMATS)}; export the mesh as one of them")
    parts = _read(path)
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    raw = np.concatenate([part.vertices for part in parts])
    corners = np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=True)])
    used, triangles = np.unique(corners, return_inverse=True)
    raw, triangles = raw[used], triangles.reshape(-1, 3)
    if not np.isfinite(raw).all():
        raise ValueError(f"{path} has vertices that are not finite; repair the mesh")
    placement = _placement(raw, path, up, height_m)
    vertices = (raw @ placement[:3, :3].T + placement[:3, 3]).astype(np.float32)
    faces, normals = corner_normals(vertices, triangles)
    textures = tuple(part.texture for part in parts if part.texture is not None)
    texture_ids = np.cumsum([part.texture is not None for part in parts]) - 1
    return Scan(
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        vertices=vertices,
        triangles=triangles,
        faces=faces,
        normals=normals,
        colors=np.concatenate([part.colors for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
        texture=np.concatenate(
            [
                np.full(len(part.triangles), number if part.texture is not None else -1, np.int32)
                for part, number in zip(parts, texture_ids, strict=True)
            ]
        ),
        textures=textures,
        placement=placement,
    )


def corner_normals(vertices: F32, triangles: I64) -> tuple[F32, F32]:
    """Return unit normals of triangles ``(T, 3)`` and of their corners ``(T, 3, 3)``.

    A vertex is smooth when all its triangles lie within 40 degrees of their mean, weighted by area;
    then its corners have that mean as their normal. Elsewhere (the edge of a box) each corner has
    the normal of its triangle. Vertices at one place count as one: files split them at seams.
    """
    step = _SAME * float(np.ptp(vertices, axis=0).max())
    keys = np.rint(vertices.astype(np.float64) / step).astype(np.int64)
    _, first, same = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    places, welded = vertices[first], same.reshape(-1)[triangles]  # (N, 3), (T, 3)
    a, b, c = (places[welded[:, i]].astype(np.float64) for i in range(3))
    across = np.cross(b - a, c - a)
    area = np.linalg.norm(across, axis=1, keepdims=True)
    faces = np.where(area > step * step, across / np.maximum(area, 1e-30), 0).astype(np.float32)
    mean = vertex_normals(places, welded)
    cosine = np.einsum("tkc,tc->tk", mean[welded], faces)
    cosine[area[:, 0] <= step * step] = 1  # a triangle without area says nothing
    worst = np.ones(len(places), np.float32)
    np.minimum.at(worst, welded.ravel(), cosine.ravel())
    smooth = worst[welded] > np.cos(np.radians(_CREASE))
    return faces, np.where(smooth[..., None], mean[welded], faces[:, None]).astype(np.float32)


def _placement(points: F64, path: Path, up: Literal["y", "z"], height_m: float | None) -> F64:
    """Return the matrix ``(4, 4)`` that rotates, scales and centers the points ``(N, 3)``."""
    rotation = np.eye(3) if up == "y" else np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    rotated = points @ rotation.T
    low, high = rotated.min(0), rotated.max(0)
    height = float(high[1] - low[1])
    if height <= 0:
        raise ValueError(f"{path} has no height along {up}; give the axis that points up as --up")
    if height_m is None and not _TALL[0] <= height <= _TALL[1]:
        raise ValueError(
            f"{path} is {height:g} units tall, which are hardly meters: leave out --metric, and "
            "it is scaled to --height-m"
        )
    scale = 1.0 if height_m is None else height_m / height
    placement = np.eye(4)
    placement[:3, :3] = scale * rotation
    placement[:3, 3] = -scale * np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    return placement


def _read(path: Path) -> list[_Part]:
    """Read all meshes of a file, each moved to its place in the file's scene."""
    try:
        trimesh: Any = importlib.import_module("trimesh")
    except ImportError as error:
        raise ImportError(
            'reading a mesh needs trimesh: pip install "sapiens-lab[scan]"'
        ) from error
    try:
        pieces = trimesh.load_scene(path, process=False).dump()
    except Exception as error:  # trimesh's readers raise many kinds of errors
        raise ValueError(f"{path} cannot be read as a mesh: {error}") from error
    parts = [_part(mesh) for mesh in pieces if len(getattr(mesh, "faces", ()))]
    if not parts:
        raise ValueError(
            f"{path} has no triangles (a point cloud?); reconstruct a surface from it first"
        )
    return parts


def _part(mesh: Any) -> _Part:
    """Take from a trimesh what is needed: places, and colors of the corners or a texture."""
    triangles = np.asarray(mesh.faces, np.int64)
    colors = np.broadcast_to(np.array(CLAY, np.uint8), (len(triangles), 3, 3))
    uv = np.zeros((len(triangles), 3, 2), np.float32)
    texture = None
    kind = mesh.visual.kind
    if kind == "vertex":
        colors = np.asarray(mesh.visual.vertex_colors)[triangles][..., :3]
    elif kind == "face":
        colors = np.repeat(np.asarray(mesh.visual.face_colors)[:, None, :3], 3, axis=1)
    elif kind == "texture":
        material = mesh.visual.material
        mesh_uv = getattr(mesh.visual, "uv", None)
        if mesh_uv is not None and len(mesh_uv) == len(mesh.vertices):
            texture = _texture(material)
            uv = np.asarray(mesh_uv, np.float32)[triangles]
        color = np.asarray(material.main_color)[:3]
        if texture is None and tuple(color) != _DEFAULT_GRAY:
            colors = np.broadcast_to(color, colors.shape)
    return _Part(
        vertices=np.asarray(mesh.vertices, np.float64),
        triangles=triangles,
        colors=np.ascontiguousarray(colors, np.uint8),
        uv=uv,
        texture=texture,
    )


def _texture(material: Any) -> NDArray[np.uint8] | None:
    """Return the image ``(h, w, 3)`` of a simple (OBJ) or physical (GLB) material."""
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return None if image is None else np.asarray(image.convert("RGB"), np.uint8)
