"""Which images are meant: files, folders, patterns, lists of paths.

Every image gets a key, the name of its files without a suffix. Keys are unique and depend on the
images alone, so that the same command again finds what it wrote.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sapiens_lab.data.images import SUFFIXES
from sapiens_lab.inference.frames import Frame, file_frame
from sapiens_lab.limits import MAX_JSON_BYTES, read_file

MORE_SUFFIXES = frozenset({".gif", ".jp2", ".pbm", ".pgm", ".ppm", ".avif", ".heic"})
VIDEOS = frozenset(
    {
        ".mp4",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".mts",
    }
)
_MAGIC = "*?["


def find_frames(sources: Sequence[str | Path], *, listed: Iterable[str] = ()) -> list[Frame]:
    """Return the images that are meant, each once, in the order of the sources.

    Args:
        sources: files, folders (searched with all below them), patterns such as ``photos/*.jpg``,
            and ``.txt`` files with a path in each line.
        listed: further paths, e.g. the lines of the standard input.

    Raises:
        FileNotFoundError: a source leads to nothing; says where it looked.
        ValueError: a source is a video, or there is no image among all of them.
    """
    pairs = [pair for source in sources for pair in _expanded(str(source))]
    pairs += [(text, Path(text).stem) for line in listed if (text := line.strip())]
    found: dict[str, str] = {}  # path -> key, as long as no other image has it
    seen: set[str] = set()
    for path, key in pairs:
        place = os.path.normpath(Path(path).absolute())  # one image may be named in several ways
        if place not in seen:
            seen.add(place)
            found[path] = key
    if not found:
        raise ValueError("there is no image among the sources")
    return [file_frame(path, key) for path, key in unique_keys(found).items()]


def _expanded(source: str) -> list[tuple[str, str]]:
    """Return paths and keys of one source."""
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() in VIDEOS and path.exists():
        raise ValueError(f"{source} is a video, which cannot stand among images; give it by itself")
    if path.suffix.lower() == ".txt" and path.is_file():
        lines = read_file(path, MAX_JSON_BYTES).decode("utf-8", "replace").splitlines()
        named = [_beside(path, line.strip()) for line in lines if line.strip()]
        if not named:
            raise ValueError(f"{source} names no image; it needs a path in each line")
        return [(name, Path(name).stem) for name in named]
    if path.exists():
        return [(str(path), path.stem)]
    if any(c in source for c in _MAGIC):
        start = Path(path.anchor or ".")
        pattern = str(path.relative_to(path.anchor) if path.anchor else path)
        matches = sorted(p for p in start.glob(pattern) if p.is_file() and _may_be_image(p))
        if matches:
            return [(str(match), match.stem) for match in matches]
    raise FileNotFoundError(f"{source}: there is no such file or folder (from {Path.cwd()})")


def _in_folder(folder: Path) -> list[tuple[str, str]]:
    """Return the images of a folder and those below; hidden ones are left out."""
    found = []
    for root, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for file in sorted(files):
            path = Path(root, file)
            if not file.startswith(".") and _may_be_image(path):
                found.append((str(path), path.relative_to(folder).with_suffix("").as_posix()))
    if not found:
        kinds = Counter(p.suffix or p.name for p in folder.iterdir()).most_common(5)
        there = ", ".join(f"{count} {kind}" for kind, count in kinds) or "nothing"
        raise FileNotFoundError(f"{folder} holds no image; what is there: {there}")
    return found


def _may_be_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES | MORE_SUFFIXES


def _beside(file: Path, name: str) -> str:
    """Return a path of a list: from the current folder or, if it is not there, the list's own."""
    path = Path(name).expanduser()
    return str(path if path.is_absolute() or path.exists() else file.parent / path)


def unique_keys(found: dict[str, str]) -> dict[str, str]:
    """Let keys that several images have become different: by their suffixes, then their folders.

    Names are compared without case: not every disk tells ``A`` from ``a``.
    """
    keys = dict(found)
    beside = Counter((str(Path(path).parent), key.lower()) for path, key in keys.items())
    for path, key in found.items():
        if beside[str(Path(path).parent), key.lower()] > 1:
            keys[path] = key + Path(path).suffix.replace(".", "_")
    for level in range(1, 12):
        for path in _repeated(keys):
            folders = Path(path).absolute().parts[1:-1]
            keys[path] = "/".join([*folders[-level:], Path(keys[path]).name])
    for number, path in enumerate(_repeated(keys)):  # only the case of a letter tells them apart
        keys[path] += f"_{number}"
    return keys


def _repeated(keys: dict[str, str]) -> list[str]:
    counts = Counter(key.lower() for key in keys.values())
    return [path for path, key in keys.items() if counts[key.lower()] > 1]
