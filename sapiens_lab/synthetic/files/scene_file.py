"""A scene as one zip file, whose checksums tell when it is damaged.

It holds ``rgb.jpg`` (quality 95, full color resolution), ``parts.png`` (class ids), ``depth.png``
(16 bit, millimeters), ``normal.png`` (``127.5 (n + 1)``, within 0.4 degrees) and ``scene.json``.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import cv2
import numpy as np

from sapiens_lab.synthetic.files import pixels
from sapiens_lab.synthetic.files.pixels import jpeg, millimeters, png
from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.people.scene import Scene
from sapiens_lab.synthetic.rendering.arrays import F32
from sapiens_lab.synthetic.rendering.camera import Camera

FORMAT = 1  # raise it whenever the content changes: caches then start empty
DAMAGE = (ValueError, KeyError, zipfile.BadZipFile, cv2.error)  # what decoding raises


def encode(scene: Scene) -> bytes:
    """Pack a scene into the bytes of a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _members(scene).items():
            archive.writestr(name, data)
    return file.getvalue()


def decode(data: bytes) -> Scene:
    """Unpack a scene.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile, cv2.error: the bytes are damaged.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        facts = json.loads(archive.read("scene.json"))
        rgb, normal, depth, parts = (
            pixels.decode(archive.read(name))
            for name in ("rgb.jpg", "normal.png", "depth.png", "parts.png")
        )
    mask = parts > 0
    return Scene(
        rgb=rgb,
        depth=depth.astype(np.float32) / np.float32(1000),
        normal=_unit(normal, mask),
        parts=parts,
        keypoint_names=load_landmarks().names,
        keypoints=np.array(facts["keypoints"], np.float32),
        visible=np.array(facts["visible"], np.uint8),
        camera=Camera(
            K=np.array(facts["K"]),
            R=np.array(facts["R"]),
            t=np.array(facts["t"]),
            size=(parts.shape[0], parts.shape[1]),
        ),
        **facts["about"],
    )


_ABOUT = ("framing", "pose", "gender", "age", "height")


def _members(scene: Scene) -> dict[str, bytes]:
    normal = np.where(scene.mask[..., None], np.rint((scene.normal + 1) * 127.5), 0)
    facts: dict[str, Any] = {
        "keypoints": np.round(scene.keypoints.astype(np.float64), 3).tolist(),
        "visible": scene.visible.tolist(),
        "K": scene.camera.K.tolist(),
        "R": scene.camera.R.tolist(),
        "t": scene.camera.t.tolist(),
        "about": {name: getattr(scene, name) for name in _ABOUT},
    }
    return {
        "rgb.jpg": jpeg(scene.rgb),
        "parts.png": png(scene.parts),
        "depth.png": png(millimeters(scene.depth)),
        "normal.png": png(normal.astype(np.uint8)),
        "scene.json": json.dumps(facts).encode(),
    }


def _unit(levels: np.ndarray, mask: np.ndarray) -> F32:
    """Convert 8-bit components to unit vectors; zero outside the mask."""
    normal = np.zeros(levels.shape, np.float32)
    inside = levels[mask].astype(np.float32) / np.float32(127.5) - 1
    normal[mask] = inside / np.linalg.norm(inside, axis=1, keepdims=True)
    return normal
