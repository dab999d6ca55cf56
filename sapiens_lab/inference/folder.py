"""``OutputFolder``: what ``sapiens predict`` leaves, and what of it is complete.

``predict.json`` says with what the folder was made, and ``images.jsonl`` has a line for every image
whose files are all there, so that the same command goes on where it ended. COCO's result files are
made of these lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sapiens_lab import atomic
from sapiens_lab.inference.frames import Frame
from sapiens_lab.inference.results.files import Kind, save
from sapiens_lab.inference.results.parts import PartResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import Result
from sapiens_lab.limits import MAX_JSON_BYTES, read_file

SETTINGS, RECORDS = "predict.json", "images.jsonl"
COCO = {"pose": "coco_keypoints.json", "segmentation": "coco_parts.json"}


@dataclass(slots=True)
class OutputFolder:
    """A folder of predictions.

    Args:
        root: is made.
        settings: of the run: plain values, which must be the same when it is continued.
        kinds: of files that are written.
        overwrite: begin again, replacing what is there.
    """

    root: Path
    settings: Mapping[str, Any]
    kinds: Sequence[Kind]
    overwrite: bool = False
    _records: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key, without results
    _pending: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Read what is complete, or begin.

        Raises:
            FileExistsError: the folder holds something else, or predictions of other settings.
            WriteError: there is no permission.
        """
        known = self.root / SETTINGS
        if self.overwrite:
            (self.root / RECORDS).unlink(missing_ok=True)
        elif known.is_file():
            self._check_settings(known)
            self._records = {r["key"]: r for r in self._lines()}
        elif self.root.is_dir() and any(self.root.iterdir()):
            raise FileExistsError(
                f"{self.root} holds other files; name a new folder (--out), or --overwrite writes "
                "into it"
            )
        atomic.write_text(known, json.dumps(dict(self.settings), indent=1) + "\n")

    def is_complete(self, frame: Frame) -> bool:
        """Tell whether all files of an image are there.

        Raises:
            FileExistsError: those of another image are, or the image has changed since.
        """
        record = self._records.get(frame.key)
        if record is None:
            return False
        place, *state = _state(frame.name)
        if record["state"][:1] != [place]:
            raise FileExistsError(
                f"{frame.name}: {self.root} already holds {frame.key} of {record['image']}; give "
                "both in one command, or another --out"
            )
        if record["state"][1:] != state:
            raise FileExistsError(
                f"{frame.name} has changed since it was predicted; --overwrite predicts it again"
            )
        return all((self.root / name).is_file() for name in record["files"])

    def write(self, frame: Frame, results: Sequence[Result]) -> dict[str, Any]:
        """Write the files of an image and return its record; safe in threads."""
        files = save(results, self.root, self.kinds, name=frame.key, overwrite=True)
        record = self.record(frame, files)
        record["people"] = next((len(r) for r in results if isinstance(r, PoseResult)), None)
        if "json" in self.kinds:
            rows = {r.task: r.to_coco() for r in results if isinstance(r, PoseResult | PartResult)}
            record["coco"] = rows
        return record

    def record(self, frame: Frame, files: Sequence[Path]) -> dict[str, Any]:
        """Return the record of an image or video whose files are all written."""
        return {
            "key": frame.key,
            "image": frame.name,
            "state": _state(frame.name),
            "files": [path.relative_to(self.root).as_posix() for path in files],
            "coco": {},
        }

    def add(self, record: Mapping[str, Any]) -> None:
        """Note an image as complete; ``flush`` makes it last."""
        self._records[record["key"]] = {k: v for k, v in record.items() if k != "coco"}
        self._pending.append(json.dumps(record, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Write down which images are complete."""
        if self._pending:
            atomic.append(self.root / RECORDS, "".join(self._pending).encode())
            self._pending = []

    def finish(self, tasks: Sequence[str]) -> list[Path]:
        """Write COCO's result files of all images that are complete."""
        self.flush()
        if "json" not in self.kinds:
            return []
        ids = image_ids([record["image"] for record in self._records.values()])
        return [self._write_coco(task, ids) for task in COCO if task in tasks]

    def _write_coco(self, task: str, ids: Mapping[str, int]) -> Path:
        path = self.root / COCO[task]
        with atomic.replacing(path) as file:  # row by row: all of them may not fit into memory
            file.write(b"[")
            separator = b"\n"
            for record in self._lines():
                if record["key"] not in self._records:
                    continue
                for row in record["coco"].get(task, ()):
                    named = {
                        **row,
                        "image_id": ids[record["image"]],
                        "file_name": record["image"],
                    }
                    file.write(separator + json.dumps(named, separators=(",", ":")).encode())
                    separator = b",\n"
            file.write(b"\n]\n")
        return path

    def _check_settings(self, path: Path) -> None:
        try:
            before = json.loads(read_file(path, MAX_JSON_BYTES))
            differing = [k for k, v in self.settings.items() if before.get(k) != v]
        except (ValueError, AttributeError) as error:
            raise FileExistsError(f"{path} is damaged; --overwrite begins again") from error
        if differing:
            shown = "; ".join(f"{k}: {before.get(k)}, now {self.settings[k]}" for k in differing)
            raise FileExistsError(
                f"{self.root} holds predictions of other settings ({shown}); name a new folder "
                "(--out), or --overwrite replaces them"
            )

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Yield the records; of an image that was redone, the last one counts."""
        path = self.root / RECORDS
        if not path.is_file():
            return
        last: dict[str, int] = {}
        for number, record in self._parsed(path):
            last[record["key"]] = number
        for number, record in self._parsed(path):
            if last[record["key"]] == number:
                yield record

    def _parsed(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # a line that was cut off: its image is predicted again
                if isinstance(record, dict) and {"key", "image", "state", "files"} <= set(record):
                    yield number, record


def image_ids(names: Sequence[str]) -> dict[str, int]:
    """Return a number for each image: that of its name where all names are numbers, as COCO's."""
    stems = [Path(name).stem for name in names]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
    if len(set(numbers)) == len(names):
        return dict(zip(names, numbers, strict=True))
    return {name: i + 1 for i, name in enumerate(names)}


def _state(name: str) -> list[str | int]:
    """Return place, size and time of a file, by which a change shows."""
    place = str(Path(name).absolute())
    try:
        found = Path(name).stat()
    except OSError:
        return [place]
    return [place, found.st_size, found.st_mtime_ns]
