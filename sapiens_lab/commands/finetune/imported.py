"""Folders of labeling tools, read into the cache; their images stay where they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from sapiens_lab.atomic import write_text
from sapiens_lab.cache import cache_folder
from sapiens_lab.commands.finetune.request import Decision, Request, word
from sapiens_lab.data.conversion import import_into
from sapiens_lab.data.importers import recognize

_FOLDER = "imported"  # of the cache
_RECORD = "import.json"  # what an import that is whole says of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A folder that was read, as COCO's JSON."""

    what: str  # the format, and what was found
    folder: Path  # in the cache
    image_dir: str
    skeleton: str | None
    parts: str | None
    dropped: list[str]  # a line a reason

    def decision(self, root: Path) -> Decision:
        """Return how the datasets read it."""
        left_out = f"; left out: {self.dropped[0]}" if self.dropped else ""
        words = [
            word(f"data.{split}.{key}", value)
            for split in ("train", "val")
            for key, value in (("root", self.folder), ("image_dir", self.image_dir))
        ]
        text = f"{self.what}; read as by `sapiens convert {root} {self.folder}`{left_out}"
        return Decision(title="data", text=text, words=tuple(words))


def import_foreign(request: Request) -> Imported | None:
    """Read the annotations of a labeling tool once; ``None`` where the format is not known.

    Raises:
        FileNotFoundError, ValueError: they are faulty; names the file.
    """
    importer = recognize(request.root)
    if importer is None or importer.name == "coco":
        return None
    key = "skeleton" if request.task == "pose" else "parts"
    given = None if request.is_open(key) else str(request.value(key))
    folder = cache_folder() / _FOLDER / f"{request.root.resolve().name}-{_mark(request, given)}"
    record = folder / _RECORD
    if not record.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of an import that was interrupted
        skeleton, classes = (given, None) if key == "skeleton" else (None, given)
        made = import_into(request.root, folder, skeleton=skeleton, classes=classes)
        content = {
            "image_dir": str(next(iter(made.image_dirs.values()))),
            "skeleton": made.skeleton,
            "parts": made.parts,
            "dropped": list(made.dropped.lines()),
        }
        write_text(record, json.dumps(content))
    found = json.loads(record.read_text())
    return Imported(what=importer.find(request.root) or importer.title, folder=folder, **found)


def _mark(request: Request, given: str | None) -> str:
    """Return a mark of the files, and of the keypoints or classes that the user gives."""
    mark = hashlib.sha256(json.dumps([request.task, str(request.root.resolve()), given]).encode())
    for path in sorted(request.root.rglob("*")):
        state = path.stat()
        mark.update(f"{path}:{state.st_size}:{state.st_mtime_ns}\n".encode())
    return mark.hexdigest()[:12]
