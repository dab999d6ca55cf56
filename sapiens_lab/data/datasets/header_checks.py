"""Look at the beginnings and ends of all files, which takes 0.1 ms each; contents are sampled."""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sapiens_lab.data.checks.finding import Finding, of_rows
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.headers import size_in_header

MOST = 2000  # samples that are looked at

_HEAD = 1 << 16  # bytes, behind the thumbnail of a camera's JPEG
_PNG = b"\x89PNG"
_NPY = b"\x93NUMPY"


def check_headers(images: Sequence[Path], maps: Sequence[Path]) -> Finding | None:
    """Find files that are cut off, empty or no files, and maps of another size than their images.

    Args:
        images: one per sample.
        maps: one per sample.
    """
    chosen = spread(len(images), MOST)
    faults = ["" for _ in chosen]
    for place, i in enumerate(chosen):
        (image_size, fault), (map_size, other) = look(images[i]), look(maps[i])
        if fault or other:
            faults[place] = f"{images[i]} {fault}" if fault else f"{maps[i]} {other}"
        elif image_size and map_size and map_size not in _shown(image_size, images[i]):
            faults[place] = f"{maps[i]} is {map_size}, its image {images[i].name} {image_size}"
    return of_rows(
        "error",
        [bool(fault) for fault in faults],
        "samples have a file that is damaged, or a map of another (height, width)",
        name=lambda place: faults[place],
        remedy="Copy or make them again",
    )


def look(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Return the (height, width) that a file claims, if it says so soon, and what is wrong."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None, "is no file"
        if not found.st_size:
            return None, "is empty"
        with path.open("rb") as file:
            head = file.read(128)
            if head.startswith(_NPY):
                return _array_size(path, found.st_size)
            if head.startswith(_PNG):
                file.seek(-min(found.st_size, 4096), 2)
                is_whole = b"IEND" in file.read() and len(head) >= 24
                width, height = struct.unpack_from(">II", head, 16) if is_whole else (0, 0)
                return (height, width), "" if is_whole else "is truncated"
            head += file.read(_HEAD)
    except OSError as error:
        return None, f"cannot be opened: {error.strerror}"
    return size_in_header(head), ""


def _array_size(path: Path, size: int) -> tuple[tuple[int, int] | None, str]:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                return None, ""
            shape, _, kind = read(file)
            if file.tell() + int(np.prod(shape)) * kind.itemsize > size:
                return None, "is truncated: it is shorter than its header says"
    except (ValueError, OSError, EOFError, SyntaxError, TypeError):
        return None, "is not an array that NumPy saved"
    return ((int(shape[0]), int(shape[1])) if len(shape) >= 2 and shape[0] > 1 else None), ""


def _shown(size: tuple[int, int], path: Path) -> set[tuple[int, int]]:
    """Return the sizes that an image may be shown at: EXIF may turn it."""
    can_turn = path.suffix.lower() not in (".png", ".bmp")
    return {size, size[::-1]} if can_turn else {size}
