"""How large a file may be, and that it is a plain file: asked before anything is opened or decoded.

A few megabytes can decode to gigabytes, a named pipe waits for ever and a device never ends. The
limits are far above what cameras and data sets give; ``limit_scale=`` of a command, or the
environment variable ``SAPIENS_LIMIT_SCALE``, multiplies all of them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

SCALE_VARIABLE = "SAPIENS_LIMIT_SCALE"  # the environment reaches every process of a run

MAX_PIXELS = 1 << 26  # of an image: 67 million, 8192 x 8192
MAX_MAP_PIXELS = 1 << 25  # of a map of up to 16 bytes a pixel: 34 million, more than 7680 x 4320
MAX_ARRAY_BYTES = 1 << 30  # of an array in memory, and of any other file of one sample
MAX_YAML_BYTES = 1 << 22  # of a list of names; 308 keypoints take 0.03 MB
MAX_JSON_BYTES = 1 << 30  # of an annotation file; COCO's largest has 0.7 GB


class TooLargeError(ValueError):
    """A file is beyond a limit; the message names both and how to raise it."""


def limit_scale() -> float:
    """Return what all limits are multiplied with.

    Raises:
        ValueError: the environment variable is no positive number.
    """
    text = os.environ.get(SCALE_VARIABLE, "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not scale > 0:
        raise ValueError(f"{SCALE_VARIABLE}={text}: give a positive number, such as 4")
    return scale


def set_limit_scale(scale: object) -> None:
    """Multiply all limits, in this process and those that it starts.

    Raises:
        ValueError: ``scale`` is no positive number.
    """
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not scale > 0:
        raise ValueError(f"limit_scale={scale}: give a positive number, such as 4")
    os.environ[SCALE_VARIABLE] = str(scale)


def check_pixels(height: int, width: int, name: str | Path, *, is_map: bool = False) -> None:
    """Refuse an image or a map before it is decoded.

    Raises:
        TooLargeError: it has too many pixels.
    """
    limit = MAX_MAP_PIXELS if is_map else MAX_PIXELS
    if height * width > limit * limit_scale():
        raise TooLargeError(
            f"{name} has {height} x {width} pixels, more than {_count(limit)}{_advice()}"
        )


def check_bytes(count: int, limit: int, name: str | Path) -> None:
    """Refuse a file or an array before it is read.

    Args:
        count: bytes that it takes.
        limit: one of this module.
        name: for the message.

    Raises:
        TooLargeError: it takes more.
    """
    if count > limit * limit_scale():
        raise TooLargeError(f"{name} takes {count} bytes, more than {_count(limit)}{_advice()}")


def check_regular(path: Path) -> int:
    """Refuse what is not a plain file, and return its size [bytes].

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: a folder, named pipe, device or socket.
        OSError: it may not be looked at.
    """
    found = path.stat()  # follows links: what they lead to counts
    if not stat.S_ISREG(found.st_mode):
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "named pipe, device or socket"
        raise ValueError(f"{path} is a {kind}, not a file")
    return found.st_size


def read_file(path: str | Path, limit: int) -> bytes:
    """Return the bytes of a plain file.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is no plain file, or takes more than ``limit`` bytes.
        OSError: it may not be read.
    """
    path = Path(path)
    check_bytes(check_regular(path), limit, path)
    return path.read_bytes()


def _count(limit: int) -> str:
    return f"{int(limit * limit_scale()):,}"


def _advice() -> str:
    return (
        f"; if it is what it should be, raise the limits with limit_scale=4 or {SCALE_VARIABLE}=4"
    )
