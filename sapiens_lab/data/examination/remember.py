"""Remember what was found in data that have not changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from sapiens_lab import atomic
from sapiens_lab.cache import cache_folder
from sapiens_lab.data.checks.finding import Finding
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import Dataset

_VERSION = 1  # of the checks: what was found by others is not taken for theirs
_NUM_FILES = 2000  # of each kind whose size and time are asked for
_CHUNK = 10_000  # names that are joined at a time
_NUM_KEPT = 200  # data sets that are remembered
_PLAIN = ("severity", "what", "count", "remedy", "is_whole")


def fingerprint(datasets: Mapping[str, Dataset], settings: object) -> str | None:
    """Return what changes when files or settings do; ``None`` if the data are not in files.

    Of many files all names and the size and time of ``_NUM_FILES`` count.

    Args:
        datasets: by split.
        settings: what the datasets were built with, as plain values.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([_VERSION, settings], default=str, sort_keys=True).encode())
    for split, dataset in datasets.items():
        images = dataset.image_paths()
        if not images:
            return None
        digest.update(f"{split} {len(dataset)} {_names(dataset)}".encode())
        for paths in (images, dataset.annotation_paths()):
            for start in range(0, len(paths), _CHUNK):
                names = "\0".join(map(str, paths[start : start + _CHUNK]))
                digest.update(names.encode(errors="surrogateescape"))  # any bytes may be a name
            digest.update(" ".join(_states(paths)).encode())
    return digest.hexdigest()


def recall(key: str) -> dict[str, list[Finding]] | None:
    """Return what was found before, ``None`` if that is not known."""
    path = _path(key)
    try:
        content = json.loads(path.read_bytes())
        found = {
            split: [_finding(entry) for entry in entries]
            for split, entries in content["findings"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with suppress(OSError):
        path.touch()
    return found


def remember(key: str, findings: Mapping[str, Sequence[Finding]]) -> None:
    """Keep what was found; where the cache cannot be written it is found again next time."""
    content = {split: [_entry(finding) for finding in found] for split, found in findings.items()}
    path = _path(key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, json.dumps({"findings": content}))
        kept = sorted(path.parent.glob("*.json"), key=lambda p: p.stat().st_mtime)
        for old in kept[:-_NUM_KEPT]:
            old.unlink()


def _path(key: str) -> Path:
    return cache_folder() / "examined" / f"{key}.json"


def _names(dataset: Dataset) -> str:
    """Return what the annotations mean, which may stand in a file of its own."""
    names = []
    if dataset.skeleton is not None:
        names += [*dataset.skeleton.keypoints, str(dataset.skeleton.flip_indices)]
    if dataset.parts is not None:
        names += [*dataset.parts.classes, dataset.parts.lookup.tobytes().hex()]
    return " ".join(names)


def _states(paths: Sequence[Path]) -> Iterator[str]:
    for i in spread(len(paths), _NUM_FILES):
        try:
            state = paths[i].stat()
            yield f"{state.st_size} {state.st_mtime_ns}"
        except OSError as error:
            yield str(error.errno)


def _entry(finding: Finding) -> dict[str, Any]:
    rows = None if finding.rows is None or finding.severity != "error" else finding.rows.tolist()
    plain = {name: getattr(finding, name) for name in _PLAIN}
    return {**plain, "items": list(finding.items), "rows": rows}


def _finding(entry: Mapping[str, Any]) -> Finding:
    rows = None if entry["rows"] is None else np.array(entry["rows"], np.int64)
    if entry["severity"] not in ("error", "warning"):
        raise ValueError(f"severity={entry['severity']}")
    plain = {name: entry[name] for name in _PLAIN}
    return Finding(**plain, items=tuple(map(str, entry["items"])), rows=rows)
