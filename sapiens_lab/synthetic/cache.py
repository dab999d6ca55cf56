"""Keep rendered scenes on disk: one zip file a scene, whose checksums tell when it is damaged.

A scene file holds ``rgb.jpg`` (quality 95, full color resolution), ``parts.png`` (class ids),
``depth.png`` (16 bit, millimeters), ``normal.png`` (``127.5 (n + 1)``, within 0.4 degrees) and
``scene.json``. Files are written beside their place and moved there, so a reader never sees half
of one. Scenes of one renderer version and one set of parameters share a folder named by their
hash; folders that were not used for longest make room for new ones.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapiens_lab.cache import cache_folder
from sapiens_lab.synthetic.arrays import F32
from sapiens_lab.synthetic.camera import Camera, check_range
from sapiens_lab.synthetic.keypoints import load_landmarks
from sapiens_lab.synthetic.scene import VERSION, Scene, render_scene

_FORMAT = 1
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_STAMP = "parameters.json"  # touched on use: its time orders the folders


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """Which scenes: everything that decides what scene number ``i`` looks like.

    Raises:
        ValueError: a range of angles makes no sense, see `check_range`.
    """

    image_size: tuple[int, int]
    seed: int
    split: int
    supersample: int = 2
    elevation_deg: tuple[float, float] | None = None  # ranges, see `render_scene`
    roll_deg: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("elevation_deg", "roll_deg"):
            if (ends := getattr(self, name)) is not None:
                check_range(name, ends)

    def render(self, index: int) -> Scene:
        """Render scene number ``index``."""
        assert self.supersample in (1, 2)
        return render_scene(
            (self.seed, self.split, index),
            image_size=self.image_size,
            elevation_deg=self.elevation_deg,
            roll_deg=self.roll_deg,
            supersample=1 if self.supersample == 1 else 2,
        )

    @property
    def bytes_per_scene(self) -> float:
        """About how large a scene file is (measured: 20 kB at 128x96, 0.6 MB at 1024x768)."""
        return 8e3 + 1.1 * self.image_size[0] * self.image_size[1]

    def settings(self) -> dict[str, Any]:
        """Return what was chosen; what was left alone is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def key(self) -> str:
        """Return the hash that names the folder of these scenes."""
        return hashlib.sha256(self._description().encode()).hexdigest()[:16]

    def _description(self) -> str:
        facts = {"renderer": VERSION, "format": _FORMAT, **self.settings()}
        return json.dumps(facts, sort_keys=True, indent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneCache:
    """Scenes of one source in a folder below ``root``.

    Args:
        root: the cache folder, shared by all sources.
        source: which scenes.
        max_bytes: bound on everything below ``root``.
    """

    root: Path
    source: SceneSource
    max_bytes: float

    @property
    def folder(self) -> Path:
        """Where the scenes of this source are."""
        return self.root / self.source.key()

    def path(self, index: int) -> Path:
        """Return where scene number ``index`` is or will be."""
        return self.folder / f"{index:07d}.zip"

    def load(self, index: int) -> Scene:
        """Read a scene; render it when it is missing or damaged, and keep it then."""
        scene = self.read(index)
        return self.make(index) if scene is None else scene

    def read(self, index: int) -> Scene | None:
        """Read a scene; ``None`` when it is missing or damaged."""
        try:
            return decode(self.path(index).read_bytes())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, cv2.error):
            return None

    def make(self, index: int) -> Scene:
        """Render a scene and keep it; returns what a reader will get."""
        data = encode(self.source.render(index))
        write_atomically(self.path(index), data)
        return decode(data)

    def missing(self, count: int) -> list[int]:
        """Return which of the first ``count`` scenes have no file."""
        present = {path.name for path in self.folder.glob("*.zip")}
        return [index for index in range(count) if self.path(index).name not in present]

    def make_room(self, new_scenes: int) -> None:
        """Mark this folder as used, and delete the longest unused others over the bound."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / _STAMP, self.source._description().encode())
        sizes = {folder: _size(folder) for folder in self.root.iterdir() if folder.is_dir()}
        total = sum(sizes.values()) + new_scenes * self.source.bytes_per_scene
        others = [f for f in sizes if f != self.folder and (f / _STAMP).exists()]
        for folder in sorted(others, key=lambda f: (f / _STAMP).stat().st_mtime):
            if total <= self.max_bytes:
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= sizes[folder]


def default_cache_dir() -> Path:
    """Return where scenes are kept unless a user says otherwise."""
    return cache_folder() / "synthetic"


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
        rgb = _image(archive.read("rgb.jpg"))[..., ::-1]
        normal = _image(archive.read("normal.png"))[..., ::-1]
        depth, parts = _image(archive.read("depth.png")), _image(archive.read("parts.png"))
    mask = parts > 0
    return Scene(
        rgb=np.ascontiguousarray(rgb),
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
    millimeters = np.clip(np.rint(scene.depth * 1000), 0, 65535).astype(np.uint16)
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
        "rgb.jpg": _bytes(".jpg", scene.rgb[..., ::-1], _JPEG),
        "parts.png": _bytes(".png", scene.parts, _PNG),
        "depth.png": _bytes(".png", millimeters, _PNG),
        "normal.png": _bytes(".png", normal.astype(np.uint8)[..., ::-1], _PNG),
        "scene.json": json.dumps(facts).encode(),
    }


def _bytes(kind: str, pixels: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, np.ascontiguousarray(pixels), options)
    assert done, kind
    return bytes(data)


def _image(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("damaged image")
    return np.asarray(pixels)


def _unit(pixels: np.ndarray, mask: np.ndarray) -> F32:
    """Turn 8-bit components back into unit vectors; zero outside the mask."""
    normal = np.zeros(pixels.shape, np.float32)
    inside = pixels[mask].astype(np.float32) / np.float32(127.5) - 1
    normal[mask] = inside / np.linalg.norm(inside, axis=1, keepdims=True)
    return normal


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)  # mkstemp's own would shut out everyone the folder is shared with
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
