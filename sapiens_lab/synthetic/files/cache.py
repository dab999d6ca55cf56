"""Keep rendered scenes on disk, one file per scene.

Scenes of one renderer version and one set of parameters share a folder named by their hash; the
folders that were not used for longest are deleted to make room for new ones.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from sapiens_lab import atomic
from sapiens_lab.cache import cache_folder
from sapiens_lab.synthetic.files.scene_file import DAMAGE, FORMAT, decode, encode
from sapiens_lab.synthetic.people.scene import VERSION, Scene
from sapiens_lab.synthetic.people.views import SceneSource

_STAMP = "parameters.json"  # touched on use: its time orders the folders


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
        """The folder of this source's scenes."""
        return self.root / hashlib.sha256(self._description().encode()).hexdigest()[:16]

    def path(self, index: int) -> Path:
        """Return where scene number ``index`` is or will be."""
        return self.folder / f"{index:07d}.zip"

    def load(self, index: int) -> Scene:
        """Read a scene; render and keep it when it is missing or damaged."""
        scene = self.read(index)
        if scene is not None:
            return scene
        data = encode(self.source.render(index))
        self._write(index, data)
        return decode(data)  # what the next reader gets, too

    def read(self, index: int) -> Scene | None:
        """Read a scene; ``None`` when it is missing or damaged."""
        try:
            return decode(self.path(index).read_bytes())
        except (OSError, *DAMAGE):
            return None

    def make(self, index: int) -> None:
        """Render a scene and keep it."""
        self._write(index, encode(self.source.render(index)))

    def missing(self, count: int) -> list[int]:
        """Return which of the first ``count`` scenes have no file."""
        present = {path.name for path in self.folder.glob("*.zip")}
        return [index for index in range(count) if self.path(index).name not in present]

    def make_room(self, new_scenes: int) -> None:
        """Mark this folder as used, and delete the longest unused others over the bound."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.remove_leftovers(self.folder)
        atomic.write_text(self.folder / _STAMP, self._description())
        sizes = {folder: _size(folder) for folder in self.root.iterdir() if folder.is_dir()}
        total = sum(sizes.values()) + new_scenes * self.source.bytes_per_scene
        others = [f for f in sizes if f != self.folder and (f / _STAMP).exists()]
        for folder in sorted(others, key=lambda f: (f / _STAMP).stat().st_mtime):
            if total <= self.max_bytes:
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= sizes[folder]

    def _write(self, index: int, data: bytes) -> None:
        # Not waited for: a scene that a power cut took is found damaged and rendered again.
        atomic.write_bytes(self.path(index), data, is_durable=False)

    def _description(self) -> str:
        """Return what decides the content of the scene files; its hash names the folder."""
        facts = {"renderer": VERSION, "format": FORMAT, **self.source.settings()}
        return json.dumps(facts, sort_keys=True, indent=1)


def default_cache_dir() -> Path:
    """Return the default folder of scenes."""
    return cache_folder() / "synthetic"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
