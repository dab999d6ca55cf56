"""A table of where each image lies in a tar archive, so that any of them is one read away.

The archives are plain tar, as WebDataset, ``tar`` and ``sapiens shards`` write them. Why not
webdataset: it streams, so an epoch has no length, a run cannot resume within one, and every process
needs archives of its own; its indexed reader (wids) is another dependency for what is this one
file. Streaming read the same archives 1.10 times as fast (``benchmarks/read_images.py``). litdata
gives all of this, in a format that no other tool opens.
"""

from __future__ import annotations

import io
import logging
import os
import tarfile
import tokenize
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sapiens_lab import atomic
from sapiens_lab.cache import cache_folder
from sapiens_lab.data.checks.shards import find_table_fault
from sapiens_lab.data.images import SUFFIXES
from sapiens_lab.limits import MAX_ARRAY_BYTES, check_bytes, check_regular

log = logging.getLogger(__name__)

Index = NDArray[np.int64]  # (n, 3): where an entry's header, its content and what follows begin

_BLOCK = 512  # bytes; a tar consists of whole blocks
_MAGIC, _MAGIC_PLACE = b"ustar", 257  # of a header


class _SparseError(Exception):
    """An entry is not stored as it is."""


class CorruptArchiveError(ValueError):
    """An archive is not what its index or the tar format says; the message names it."""


def load_index(archive: Path) -> Index:
    """Return where the images of an archive lie, from the table beside it or by reading it once.

    The table is made again if the archive's size has changed. If the folder cannot be written to,
    the table goes to the user's cache.

    A table that does not fit the archive, whatever is in it, is made again too.

    Raises:
        CorruptArchiveError: it is no tar, compressed, or ends too early.
        ValueError: it is no plain file.
    """
    size = check_regular(archive)
    for path in (_beside(archive), _in_cache(archive)):
        if path.is_file() and (rows := _read_table(path, size)) is not None:
            return rows
    rows = build_index(archive)
    _save(archive, np.concatenate([rows, np.full((1, 3), size, np.int64)]))
    return rows


def _read_table(path: Path, size: int) -> Index | None:
    """Return a table whose every row lies within an archive of ``size`` bytes, or nothing."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError) as error:
        log.warning("%s is not an array that NumPy saved (%s); it is made again", path, error)
        return None
    if fault := find_table_fault(rows, size):
        log.warning("%s: %s; it is made again", path, fault)
        return None
    return np.asarray(rows[:-1], np.int64)


class _Bounded(io.RawIOBase):
    """A file that is never asked for more than it has: headers may claim gigabytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def build_index(archive: Path) -> Index:
    """Read all headers of an archive; what is not an image is passed over.

    Raises:
        CorruptArchiveError: it is no tar, compressed, or ends too early.
    """
    rows: list[tuple[int, int, int]] = []
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=_Bounded(raw), mode="r:") as file:
            for entry in file:
                if entry.isfile() and is_image(entry.name):
                    if entry.issparse():
                        raise _SparseError(entry.name)
                    stop = entry.offset_data + entry.size
                    rows.append((entry.offset, entry.offset_data, stop))
            end = file.offset
    except _SparseError as error:
        raise CorruptArchiveError(
            f"{archive}: its entry {error} is stored sparse, without its zeros, which is not read; "
            "make the archive without `--sparse`"
        ) from error
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise CorruptArchiveError(
            f"{archive} cannot be read as a tar ({error}). A compressed one must be unpacked to "
            "plain .tar first; a damaged one copied or made again"
        ) from error
    with archive.open("rb") as content:
        content.seek(end)
        if content.read(_BLOCK) != bytes(_BLOCK):  # tarfile takes a gap in the middle for the end
            raise CorruptArchiveError(
                f"{archive} is cut off or damaged at byte {end}, after {len(rows)} images; copy "
                "or make it again"
            )
    return np.array(rows, np.int64).reshape(-1, 3)


def read_entry(archive: Path, row: NDArray[np.int64]) -> tuple[str, bytes]:
    """Return name and content of the entry of an index's row.

    Raises:
        CorruptArchiveError: there is no entry there: the archive has changed. Or the entry's size
            is wrong, so that it reaches into the next one.
        TooLargeError: the entry is beyond the limit of an image's file.
        FileNotFoundError: the archive is gone.
    """
    start, data, stop = (int(value) for value in row)
    check_bytes(stop - start, MAX_ARRAY_BYTES, f"an image in {archive}")
    try:
        with archive.open("rb", buffering=0) as file:
            chunk = os.pread(file.fileno(), stop - start, start)
    except OSError as error:
        raise FileNotFoundError(f"cannot open the archive {archive}: {error.strerror}") from error
    try:
        # Long names stand in headers of their own, which only tarfile understands fully.
        entry = tarfile.TarFile(fileobj=io.BytesIO(chunk[: data - start])).next()
    except (tarfile.TarError, ValueError, OverflowError):
        entry = None
    if entry is None or entry.size != stop - data or len(chunk) != stop - start:
        raise CorruptArchiveError(
            f"{archive} has changed since its table was made; delete {_beside(archive).name} and "
            "start again"
        )
    content = chunk[data - start :]
    if _holds_header(content):
        raise CorruptArchiveError(
            f"{archive}/{entry.name} reaches into the entry after it: the size in its header is "
            "wrong; make the archive again"
        )
    return entry.name, content


def _holds_header(content: bytes) -> bool:
    """Return whether the header of another entry stands in an entry, at the start of a block."""
    place = content.find(_MAGIC)
    while place >= 0 and place % _BLOCK != _MAGIC_PLACE:
        place = content.find(_MAGIC, place + 1)
    return place >= 0


def is_image(name: str) -> bool:
    """Return whether a name is an image's, by its suffix; hidden files do not count."""
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _save(archive: Path, rows: Index) -> None:
    try:
        _write(_beside(archive), rows)
    except OSError:  # a folder that is not ours
        path = _in_cache(archive)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, rows)


def _write(path: Path, rows: Index) -> None:
    with atomic.replacing(path, expected_bytes=rows.nbytes) as file:
        np.save(file, rows)


def _beside(archive: Path) -> Path:
    return archive.with_name(archive.name + ".index.npy")


def _in_cache(archive: Path) -> Path:
    path = archive.resolve()
    mark = zlib.crc32(str(path.parent).encode())
    return cache_folder() / "shards" / f"{mark:08x}" / _beside(path).name
