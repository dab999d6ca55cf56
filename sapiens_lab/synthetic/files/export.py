"""Write rendered scenes as files in open formats that any program reads: PNG, NPY, JSON.

Training inside this package needs no files (``SyntheticPeople`` renders and caches by itself);
these are for other programs, for mixing with recorded data and for looking at. The layout stands
in ``docs/data_render.md``. A scene's record ``scenes/SSSS/NNNNNNNN.json`` is written last and
every file appears whole, so an interrupted run goes on where it ended.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from sapiens_lab import __version__, atomic
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.synthetic.files.formats import CONVENTIONS, FileFormats, describe_camera, encode
from sapiens_lab.synthetic.people.landmarks import load_landmarks, match_landmarks
from sapiens_lab.synthetic.people.materials import PARTS
from sapiens_lab.synthetic.rendering.view import ViewSource

FORMAT = 1  # raise it whenever the files change
SCENES_PER_FOLDER = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFolder:
    """A folder of written scenes of one source in one format.

    Args:
        root: the folder.
        source: of the scenes.
        formats: of the files.
    """

    root: Path
    source: ViewSource
    formats: FileFormats

    @property
    def suffixes(self) -> dict[str, str]:
        """Suffix of the files in each folder of maps."""
        return self.formats.suffixes(labeled=self.source.labeled)

    def path(self, kind: str, index: int) -> Path:
        """Return where a file of scene number ``index`` is; ``kind`` is a folder's name."""
        suffix = ".json" if kind == "scenes" else self.suffixes[kind]
        return self.root / kind / f"{stem(index)}{suffix}"

    def open(self, command: str) -> None:
        """Make the folder, or check that it holds scenes of the same settings.

        Args:
            command: noted in ``dataset.json``.

        Raises:
            ValueError: it holds something else; the message says what differs.
        """
        path = self.root / "dataset.json"
        settings = {"format": FORMAT, **self.source.settings(), **self.formats.settings()}
        settings = json.loads(json.dumps(settings))
        commands: list[str] = []
        if path.exists():
            before = json.loads(path.read_text())
            _check_same(before["settings"], settings, path)
            commands = before["commands"]
        elif self.root.exists() and any(self.root.iterdir()):
            raise ValueError(
                f"{self.root} is not empty and has no dataset.json; give a new folder as --out"
            )
        content = {
            "made_by": f"sapiens_lab {__version__}",
            "settings": settings,
            "commands": commands if command in commands else [*commands, command],
            "conventions": CONVENTIONS,
        }
        if self.source.labeled:
            content |= {"parts": list(PARTS), "landmarks": list(load_landmarks().names)}
        atomic.write_text(path, json.dumps(content, indent=1))

    def complete(self) -> set[int]:
        """Return the numbers of the scenes that have all their files."""
        found: set[int] = set()
        for shard in _names(self.root / "scenes"):
            whole = {name[:-5] for name in _names(self.root / "scenes" / shard)}
            for kind, suffix in self.suffixes.items():
                names = _names(self.root / kind / shard)
                whole &= {n.removesuffix(suffix) for n in names if n.endswith(suffix)}
            found |= {int(name) for name in whole if name.isdigit()}
        return found

    def check_room(self, num_scenes: int) -> float:
        """Return about how many bytes so many new scenes take.

        Raises:
            ValueError: the disk has not that much free.
        """
        needed = num_scenes * self.formats.bytes_per_scene(self.source.image_size)
        place = next(p for p in (self.root.absolute(), *self.root.absolute().parents) if p.exists())
        free = shutil.disk_usage(place).free
        if needed > free:
            raise ValueError(
                f"{num_scenes} scenes need about {needed / 1e9:.1f} GB, but the disk of "
                f"{self.root} has {free / 1e9:.1f} GB free; take fewer (--num) or smaller (--size) "
                "scenes, or --depth-format png16 --normal-format png16"
            )
        return needed

    def write(self, index: int) -> None:
        """Render and write scene number ``index``."""
        view = self.source.view(index)
        for kind, data in encode(view, self.formats).items():
            atomic.write_bytes(self.path(kind, index), data)
        record = {"file": stem(index), "camera": describe_camera(view.camera), **view.facts}
        atomic.write_text(self.path("scenes", index), json.dumps(record))

    def finish(self, skeleton: str | Skeleton) -> int:
        """Gather the records of all complete scenes; return how many there are.

        Writes ``cameras.jsonl`` and, for people, ``annotations/keypoints.json``. ``skeleton`` may
        change from run to run: the records hold all landmarks.
        """
        indices = sorted(self.complete())
        with _replacing(self.root / "cameras.jsonl") as file:
            for record in self._records(indices):
                file.write(json.dumps({"file": record["file"], **record["camera"]}) + "\n")
        if self.source.labeled:
            with _replacing(self.root / "annotations" / "keypoints.json") as file:
                height, width = self.source.image_size
                shape = {"height": height, "width": width}
                images = ({"id": i, "file_name": f"{stem(i)}.png", **shape} for i in indices)
                chosen = Skeleton.load(skeleton)
                people = zip(indices, self._records(indices), strict=True)
                _write_coco(file, images, _annotations(people, chosen), chosen)
        return len(indices)

    def _records(self, indices: Iterable[int]) -> Iterator[dict[str, Any]]:
        for index in indices:
            yield json.loads(self.path("scenes", index).read_bytes())


def stem(index: int) -> str:
    """Return a scene's place below ``images/``, ``depths/`` and so on, without suffix."""
    return f"{index // SCENES_PER_FOLDER:04d}/{index:08d}"


def _check_same(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    differ = [k for k in {**before, **now} if before.get(k) != now.get(k)]
    if differ:
        shown = "; ".join(f"{k} is {before.get(k)!r} there, {now.get(k)!r} now" for k in differ)
        raise ValueError(
            f"{path} was made with other settings: {shown}. Give the same ones to go on, or "
            "another folder as --out"
        )


def _annotations(
    people: Iterable[tuple[int, dict[str, Any]]], skeleton: Skeleton
) -> Iterator[dict[str, Any]]:
    """Yield COCO annotations; ids start at 1, since COCO's evaluation takes 0 for "no match"."""
    columns, known = match_landmarks(skeleton)
    for index, record in people:
        points = np.array(record["landmarks"], np.float64)[columns]
        points[~known | (points[:, 2] == 0)] = 0
        yield {
            "id": index + 1,
            "image_id": index,
            "category_id": 1,
            "keypoints": points.ravel().tolist(),
            "num_keypoints": int((points[:, 2] > 0).sum()),
            "area": record["area"],
            "bbox": record["bbox"],
            "iscrowd": 0,
        }


def _write_coco(
    file: IO[str], images: Iterable[Any], annotations: Iterable[Any], skeleton: Skeleton
) -> None:
    """Write piece by piece: the whole of a large file would not fit into memory."""
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],
    }
    file.write(f'{{"categories": {json.dumps([category])}')
    for name, rows in (("images", images), ("annotations", annotations)):
        file.write(f',\n"{name}": [')
        for number, row in enumerate(rows):
            file.write((",\n" if number else "\n") + json.dumps(row))
        file.write("]")
    file.write("}\n")


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Open a text file that takes its place only when it is whole."""
    with atomic.replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
        yield text
        text.detach()


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
