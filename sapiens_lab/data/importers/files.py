"""Look at a folder of unknown origin: cheaply, and never at what lies outside of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sapiens_lab.data.images import SUFFIXES

_MAX_DEPTH = 12  # folders in folders
_MAX_LOOKED = 2000  # files that recognition goes through
_HEAD = 1 << 16  # bytes of a file that recognition reads


def walk(root: Path, *, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Return the files of a folder in a fixed order, or the file itself.

    Hidden names are left out; a folder that links lead to again is entered once.
    """
    if not root.is_dir():
        if root.is_file():
            yield root
        return
    yield from _walk(root, depth, {os.path.realpath(root)})


def _walk(folder: Path, depth: int, entered: set[str]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: (entry.is_dir(), entry.name))
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield folder / entry.name
        elif depth > 0 and entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in entered:
                entered.add(real)
                yield from _walk(folder / entry.name, depth - 1, entered)


def look(root: Path, suffix: str, *, depth: int = 3) -> Iterator[Path]:
    """Return the files of a suffix among the first 2000 near the top of a folder."""
    for count, path in enumerate(walk(root, depth=depth)):
        if count >= _MAX_LOOKED:
            return
        if path.suffix.lower() == suffix:
            yield path


def first(root: Path, suffix: str, is_ours: Callable[[Path], bool]) -> Path | None:
    """Return the first file of a suffix that is of a format; relative to ``base_of(root)``."""
    path = next((path for path in look(root, suffix) if is_ours(path)), None)
    return None if path is None else path.relative_to(base_of(root))


def head(path: Path) -> str:
    """Return the beginning of a text file; empty for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def base_of(root: Path) -> Path:
    """Return the folder that names are relative to: a source may be a single file."""
    return root if root.is_dir() else root.parent


class ImageFiles:
    """The images below a folder, found by whatever a tool calls them.

    A tool writes paths of its own machine. The file is taken whose path ends in the most parts of
    the stated one; nothing outside of the folder is ever looked at.
    """

    def __init__(self, root: Path) -> None:
        self.root = base_of(root)
        self.names: list[str] = []  # below the root, sorted
        self._by_base: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in walk(self.root):
            if path.suffix.lower() in SUFFIXES:
                name = path.relative_to(self.root).as_posix()
                self.names.append(name)
                self._by_base.setdefault(path.name.lower(), []).append(name)
                self._by_stem.setdefault(path.stem.lower(), []).append(name)

    def find(self, stated: str, *, near: Path | None = None) -> str | None:
        """Return the name of the image that a tool calls ``stated``; ``None`` if it is unclear.

        Args:
            stated: a path, with or without a suffix, of any machine.
            near: folder of the annotation file, which is looked at first.
        """
        parts = _parts(stated)
        if not parts:
            return None
        base = parts[-1].lower()
        found = self._by_base.get(base) or self._by_stem.get(base) or ()
        if near is not None and len(found) > 1:
            place = near.relative_to(self.root).as_posix() if near != self.root else ""
            inside = [name for name in found if PurePosixPath(name).parent.as_posix() == place]
            found = inside if len(inside) == 1 and len(parts) == 1 else found
        return _best(found, parts)


def _parts(stated: str) -> list[str]:
    pieces = re.split(r"[\\/]+", stated.strip())
    return [piece for piece in pieces if piece not in ("", ".", "..") and not piece.endswith(":")]


def _best(names: tuple[str, ...] | list[str], parts: list[str]) -> str | None:
    """Return the name that shares most of its last parts with the stated path, if one does."""
    if len(names) == 1:
        return names[0]
    lengths = [_shared(name.split("/"), parts) for name in names]
    most = max(lengths, default=0)
    if lengths.count(most) != 1:  # the one that has no other parts is meant
        whole = [n for n, k in zip(names, lengths, strict=True) if k == most == n.count("/") + 1]
        return whole[0] if len(whole) == 1 else None
    return names[lengths.index(most)]


def _shared(name: list[str], stated: list[str]) -> int:
    count = 0
    for a, b in zip(reversed(name[:-1]), reversed(stated[:-1]), strict=False):
        if a != b:
            break
        count += 1
    return count + 1
