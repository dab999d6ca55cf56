"""One entry for files of weights and checkpoints of every kind, told apart by their content."""

from __future__ import annotations

import contextlib
import gc
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from sapiens_lab.limits import check_regular
from sapiens_lab.weights.reading.layouts import MAX_TABLE, read_archive
from sapiens_lab.weights.reading.old_save import read_old_save
from sapiens_lab.weights.reading.source import (
    DamagedError,
    RefusedError,
    Region,
)
from sapiens_lab.weights.reading.stubs import check_tree

_KINDS = {
    b"\x89HDF": "an HDF5 file (Keras?)", b"\x93NUMPY": "a NumPy array", b"GGUF": "a GGUF file",
    b"\x1f\x8b": "compressed by gzip: unpack it first", b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image", b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first", b"Rar!": "a RAR archive: unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it first",
}  # fmt: skip


def read_content(path: Path, *, is_mapped: bool = True) -> Any:
    """Return what a file holds: nested containers of tensors, other objects replaced by stubs.

    Containers are a tree of bounded size: no one holds itself. Tensors carry no gradients.

    Args:
        path: a file of ``torch.save`` (any version), TorchScript, ``torch.export`` or safetensors.
        is_mapped: tensors lie in the file, which is mapped privately: no memory is taken until
            they are used, but the file must not be overwritten while they are. Otherwise copies.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no regular file, empty, truncated, damaged or no file of weights, or asks
            for what is refused; names it and says which.
    """
    try:
        check_regular(path)
        _check_start(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        with _uncollected():
            content = _read(path, is_mapped=is_mapped)
            check_tree(content)
    except RefusedError as error:
        raise ValueError(f"{path} is not read: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into the memory of this machine") from error
    except Exception as error:  # a damaged file can raise anything
        reason = str(error) if isinstance(error, (DamagedError, SafetensorError)) else "its content"
        raise ValueError(
            f"{path} is truncated, damaged or no file of weights ({path.stat().st_size} bytes; "
            f"{reason}); download or copy it again"
        ) from error
    return content


def _read(path: Path, *, is_mapped: bool) -> Any:
    with path.open("rb") as file:
        start = file.read(16)
        size = struct.unpack("<Q", start[:8])[0] if len(start) > 8 else 0
        # First, because the size of a table may begin with any byte, also those of the others.
        if start[8:9] == b"{" and size <= MAX_TABLE:
            tensors = load_file(path)
            return tensors if is_mapped else {name: t.clone() for name, t in tensors.items()}
        if start[:2] == b"PK":
            return read_archive(Region.of_file(file.fileno(), is_mapped=is_mapped))
        if start[:1] == b"\x80":
            return read_old_save(Region.of_file(file.fileno(), is_mapped=is_mapped))
    if start[8:9] == b"{":
        raise RefusedError(f"its table of tensors has more than {MAX_TABLE >> 20} MB")
    raise DamagedError("its start is not that of one")


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Make containers without the garbage collector, which would visit them again and again."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _check_start(path: Path) -> None:
    """Name the usual things that are not weights."""
    with path.open("rb") as file:
        start = file.read(512)
    text = start[:64].lstrip().lower()
    if not start:
        raise ValueError(f"{path} is empty; download or copy it again")
    if text.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a pointer of git-lfs, not the file: run `git lfs pull`, or download it"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(
            f"{path} is a web page, probably an error or a log-in page that was saved in place of "
            "the file; download the file itself"
        )
    if start[257:262] == b"ustar":
        raise ValueError(f"{path} is a tar archive (torch before 0.2 wrote some): unpack it")
    for mark, kind in _KINDS.items():
        if start.startswith(mark):
            raise ValueError(f"{path} is no file of weights but {kind}")
