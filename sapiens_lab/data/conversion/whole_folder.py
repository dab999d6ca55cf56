"""Write a folder whole or not at all: it gets its name when everything is in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sapiens_lab.atomic import lock

_PART = ".part"  # suffix of folders that are being written, whose names begin with a dot


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes ``path`` when the block ends without an error.

    What a killed writer left is removed by the next one of the same path.

    Raises:
        ValueError: ``path`` is there and not empty.
        OSError: it cannot be written.
    """
    path = path.absolute()
    check_empty(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*{_PART}"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            if lock(handle):  # its writer is gone
                shutil.rmtree(left)
            os.close(handle)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    part.mkdir()
    handle = os.open(part, os.O_RDONLY) if sys.platform != "win32" else -1
    lock(handle)
    try:
        yield part
        check_empty(path)
        if path.is_dir():
            path.rmdir()
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        if handle >= 0:
            os.close(handle)


def check_empty(path: Path) -> None:
    """Refuse a place that holds something.

    Raises:
        ValueError: it does.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ValueError(f"{path} is a file or a link; name a new folder")
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"{path} is not empty, and nothing is overwritten; name a new folder")
