"""Read what is not an image: class ids, masks, depth and normals, value by value.

What a viewer shows is wrong here: the indices of a palette image are the data and not its
colors, 16 bits must stay 16 bits, and nothing may be resampled.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sapiens_lab.data.images import (
    imdecode,
    is_jpeg,
    open_pillow,
    read_content,
    read_image,
    size_of,
)
from sapiens_lab.limits import MAX_ARRAY_BYTES, check_bytes, check_regular, read_file

LABEL_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif", ".npy"})  # all lossless
MAP_SUFFIXES = frozenset({".npy", ".png", ".tif", ".tiff", ".exr"})
MASK_SUFFIXES = LABEL_SUFFIXES | {".jpg", ".jpeg", ".webp"}

# Pillow spreads pixel values of 2 and 4 bits over 0..255; class ids are the stored values.
_SPREAD = {"L;2": 85, "L;4": 17}

_OTHER_KINDS = {
    b"\x89HDF": "an HDF5 file", b"MATLAB": "a MATLAB file", b"\x89PNG": "a PNG image",
    b"II*\0": "a TIFF image", b"MM\0*": "a TIFF image", b"\x80": "a pickle", b"Pf": "a PFM image",
    b"v/1\x01": "an EXR image", b"\x1f\x8b": "compressed by gzip",
}  # fmt: skip
_MAX_NAME = 60  # characters that a message shows

_MAX_NPY_HEADER = 10_000  # NumPy's own limit [bytes]


def read_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image as ``read_image`` would give it, from its header.

    Raises:
        FileNotFoundError, ValueError: as ``read_image``.
    """
    return size_of(read_content(path), path)


def read_labels(path: Path) -> NDArray[Any]:
    """Read class ids as stored: ``(H, W)`` integers, or ``(H, W, 3)`` uint8 RGB of a color mask.

    Palette images give their indices; alpha is dropped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, lossy or holds no integers.
    """
    return _without_alpha(_read_stored(path), path)


def _read_stored(path: Path) -> NDArray[Any]:
    is_array = path.suffix.lower() == ".npy"
    return _squeezed(_read_npy(path)) if is_array else _read_values(path)


def _without_alpha(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return whole numbers ``(H, W)`` or ``(H, W, 3)``.

    Raises:
        ValueError: they are something else.
    """
    if values.ndim == 3 and values.shape[2] in (2, 4):  # the last is alpha
        values = values[..., 0] if values.shape[2] == 2 else values[..., :3]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "iu" or values.ndim not in (2, 3):
        raise ValueError(
            f"{path} holds {values.dtype} of shape {values.shape}; class ids are whole numbers of "
            "shape (height, width)"
        )
    return values


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read where the person is, ``(H, W)``: not zero, or from mid-gray on in a lossy image.

    An alpha channel that is not the same everywhere is the mask, as cut-out tools write it; colors
    beside it then do not count.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or no image.
    """
    if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        return np.asarray(read_image(path).max(-1) > 127)
    stored = _read_stored(path)
    if stored.ndim == 3 and stored.shape[2] in (2, 4) and np.ptp(stored[..., -1]):
        return np.asarray(stored[..., -1] != 0)
    values = _without_alpha(stored, path) != 0
    return np.asarray(values.any(-1) if values.ndim == 3 else values)


def read_map(path: Path) -> NDArray[Any]:
    """Read numbers as stored: ``(H, W)`` or ``(H, W, 3)`` with channels in RGB (or XYZ) order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or an EXR that this OpenCV cannot read.
    """
    if path.suffix.lower() == ".npy":
        return _squeezed(_read_npy(path))
    values = imdecode(read_content(path), cv2.IMREAD_UNCHANGED, path, is_map=True)
    if values is None and path.suffix.lower() == ".exr":
        raise ValueError(
            f"this OpenCV ({cv2.__version__}) does not read {path}. With opencv-python 4, start "
            "Python with OPENCV_IO_ENABLE_OPENEXR=1 in the environment; version 5 is built "
            "without EXR: convert the files to .npy (float32) or 16-bit PNG"
        )
    if values is None:
        raise ValueError(f"{path} is damaged or not an image; copy it again or take it out")
    values = _squeezed(values)
    return values if values.ndim == 2 else np.ascontiguousarray(values[..., 2::-1])


def _squeezed(values: NDArray[Any]) -> NDArray[Any]:
    """Drop a channel axis of length 1, first or last."""
    if values.ndim == 3 and values.shape[2] == 1:
        return values[..., 0]
    return values[0] if values.ndim == 3 and values.shape[0] == 1 else values


def _read_values(path: Path) -> NDArray[Any]:
    try:
        content = read_file(path, MAX_ARRAY_BYTES)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise FileNotFoundError(f"cannot open {path}: {error.strerror}") from error
    if is_jpeg(content):
        raise ValueError(f"{path} is a JPEG, which changes class ids; save labels as PNG")
    try:
        with open_pillow(content, path) as image:
            spread = _SPREAD.get(_raw_mode(image), 1)
            values: NDArray[Any] = np.asarray(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is damaged or not an image") from error
    except OSError as error:  # what Pillow raises for a broken file
        raise ValueError(f"{path} is damaged: {error}; copy it again") from error
    return values // spread if spread > 1 else values


def _raw_mode(image: Image.Image) -> str:
    """Return how Pillow will unpack the pixels, which is the last entry of a PNG's tile."""
    tiles = getattr(image, "tile", [])
    return str(tiles[0][3]) if tiles else ""


def _read_npy(path: Path) -> NDArray[Any]:
    """Read an array once what its header says has been compared with the file."""
    try:
        size = check_regular(path)
        check_bytes(size, MAX_ARRAY_BYTES, path)
        with path.open("rb") as file:
            shape, is_fortran, dtype = _read_npy_header(file)
            count = math.prod(shape)
            if count * dtype.itemsize > size - file.tell():
                raise _npy_error(path, f"it claims {shape} of {dtype}, which it does not hold")
            values: NDArray[Any] = np.fromfile(file, dtype, count)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise FileNotFoundError(f"cannot open {path}: {error.strerror}") from error
    return values.reshape(shape, order="F" if is_fortran else "C")


def _read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and kind of the numbers of an array (``numpy.lib.format``).

    NumPy's own parser can end in errors of any kind, and knows tables and pickled objects.
    """
    start = file.read(10)
    if start[:6] != b"\x93NUMPY" or len(start) < 10:
        raise _npy_error(file.name, _other_kind(start + file.read(_MAX_NPY_HEADER)))
    size = int.from_bytes(start[8:] if start[6] == 1 else start[8:] + file.read(2), "little")
    header = file.read(min(size, _MAX_NPY_HEADER)).decode("latin-1")
    kind = re.search(r"'descr': *'([<>|=]?[biuf]\d{1,2})'", header)
    order = re.search(r"'fortran_order': *(True|False)", header)
    shape = re.search(r"'shape': *\(([\d, ]{0,200})\)", header)
    if size > _MAX_NPY_HEADER or kind is None or order is None or shape is None:
        raise _npy_error(file.name, "it holds no plain numbers, but objects, text or a table")
    sizes = tuple(int(number) for number in re.findall(r"\d+", shape[1]))
    try:
        return sizes, order[1] == "True", np.dtype(kind[1])
    except TypeError:
        raise _npy_error(file.name, f"its kind of numbers is {kind[1]}") from None


def _other_kind(start: bytes) -> str:
    """Say what a file is by its start."""
    if start[:4] == b"PK\3\4":  # the header of the first record has its name
        name = start[30 : 30 + int.from_bytes(start[26:28], "little")].decode("utf-8", "replace")
        shown = name.removesuffix(".npy")[:_MAX_NAME]
        return f"it is an .npz whose first array is {shown!r}; save that one with numpy.save"
    kinds = (kind for mark, kind in _OTHER_KINDS.items() if start.startswith(mark))
    return f"it is {next(kinds, 'empty' if not start else 'another kind of file')}"


def _npy_error(path: object, reason: str) -> ValueError:
    return ValueError(f"{path} is not an array that NumPy saved: {reason}")
