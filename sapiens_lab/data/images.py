"""Read images of any mode as 8-bit RGB, with errors that name the file."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sapiens_lab.data.headers import has_jpeg_end, has_zeroed_scan, size_in_header
from sapiens_lab.limits import MAX_ARRAY_BYTES, TooLargeError, check_pixels, read_file

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
REDUCTIONS = (8, 4, 2)  # divisors of the size at which a JPEG can be decoded

_FLAGS = {
    1: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_ROTATED = {5, 6, 7, 8}  # EXIF orientations that exchange height and width
_ORIENTATION = 0x0112

_GAPS = (b"premature end", b"bad Huffman code")  # in what libjpeg says
_DARK = 2**14  # 16-bit images below it would have fewer than 64 of 256 pixel values
_PERCENTILES = (0.5, 99.5)  # become 0 and 255
_NUM_SAMPLED = 2**16  # pixels that the percentiles are taken of
# Whether a kind of file has been warned of, by all loading processes together.
_WARNED = {kind: multiprocessing.Value("b", 0) for kind in ("png", "tiff")}


class CorruptImageError(ValueError):
    """An image's file cannot be decoded; the message names it."""


def read_image(path: str | Path, *, reduce: int = 1) -> NDArray[np.uint8]:
    """Read an image as ``(H, W, 3)`` RGB uint8.

    Gray and palette images become color, alpha is dropped, and the orientation in EXIF is applied:
    annotate what a viewer shows. 16 bits become 8 by their upper half; if that would leave the
    image nearly black, as 12 bits of a sensor do, its range is stretched and a warning says so.

    Args:
        path: of a format that OpenCV reads (JPEG, PNG, WebP, TIFF, ...).
        reduce: 1, 2, 4 or 8; decode at a fraction of the size, which is much faster for JPEG.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptImageError: the file is truncated, damaged or not an image.
    """
    return decode(read_content(path), path, reduce=reduce)


def read_content(path: str | Path) -> bytes:
    """Return the bytes of an image's file.

    Raises:
        FileNotFoundError: there is no such file, or it may not be read.
        CorruptImageError: it is no plain file, or larger than the limit.
    """
    try:
        return read_file(path, MAX_ARRAY_BYTES)
    except ValueError as error:
        raise CorruptImageError(str(error)) from error
    except OSError as error:
        raise FileNotFoundError(f"cannot open the image {path}: {error.strerror}") from error


def decode(content: bytes, name: str | Path, *, reduce: int = 1) -> NDArray[np.uint8]:
    """Return the pixels of an image's file, as ``read_image`` does.

    Args:
        content: of the file.
        name: for messages.
        reduce: 1, 2, 4 or 8.

    Raises:
        CorruptImageError: the file is truncated, damaged, not an image or too large.
    """
    if _is_cut_off(content):
        raise CorruptImageError(
            f"the image {name} is truncated ({len(content)} bytes); copy it again"
        )
    try:
        pixels = imdecode(content, _FLAGS[reduce], name)
    except TooLargeError as error:
        raise CorruptImageError(str(error)) from error
    if pixels is None:
        raise CorruptImageError(f"{name} is damaged or not an image; copy it again or take it out")
    if pixels.dtype == np.uint16:
        pixels = _to_8_bits(pixels, name)
    return np.ascontiguousarray(pixels[..., ::-1])


def imdecode(
    content: bytes, flags: int, name: str | Path, *, is_map: bool = False
) -> NDArray[Any] | None:
    """Return what OpenCV decodes, in BGR; ``None`` for a file that is damaged or cut off.

    Raises:
        TooLargeError: its header claims too many pixels; nothing was decoded.
    """
    size = size_in_header(content)
    if size is None or _is_cut_off(content):
        return None
    check_pixels(*size, name, is_map=is_map)
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    return pixels


def size_of(content: bytes, name: str | Path) -> tuple[int, int]:
    """Return (height, width) as ``decode`` would give them, from the file's header.

    Raises:
        CorruptImageError: the file is truncated, damaged, not an image or too large.
    """
    try:
        with open_pillow(content, name) as image:
            is_rotated = image.getexif().get(_ORIENTATION) in _ROTATED
            width, height = image.size
    except TooLargeError as error:
        raise CorruptImageError(str(error)) from error
    except OSError:  # a format that only OpenCV knows, or no image at all
        height, width = decode(content, name).shape[:2]
        return height, width
    return (width, height) if is_rotated else (height, width)


@contextlib.contextmanager
def open_pillow(content: bytes, name: str | Path) -> Iterator[Image.Image]:
    """Open an image with Pillow, under our limit in place of its own.

    Raises:
        TooLargeError: its header claims too many pixels.
        OSError: the file is broken, whatever Pillow raises for it.
    """
    if size := size_in_header(content):
        check_pixels(*size, name)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(content)) as image:
            check_pixels(image.height, image.width, name)
            yield image
    except (OSError, TooLargeError):
        raise
    except Exception as error:  # SyntaxError, TypeError, struct.error, ...
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def is_jpeg(content: bytes) -> bool:
    """Return whether a file is a JPEG, by its first bytes."""
    return content[:3] == b"\xff\xd8\xff"


def has_gaps(content: bytes, name: str | Path) -> bool:
    """Return whether a part of a JPEG's content is lost, so that decoders make the rest up.

    Decoders say so on the standard error stream alone, which is redirected meanwhile.

    Raises:
        CorruptImageError: the file is truncated, damaged, not an image or too large.
    """
    if has_zeroed_scan(content):
        return True
    with tempfile.TemporaryFile() as said:
        try:
            kept = os.dup(2)
        except OSError:  # this process has no standard error
            return False
        try:
            os.dup2(said.fileno(), 2)
            decode(content, name, reduce=max(REDUCTIONS))
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        said.seek(0)
        text = said.read()
    return any(words in text for words in _GAPS)


def _to_8_bits(pixels: NDArray[np.uint16], name: str | Path) -> NDArray[np.uint8]:
    """Keep the upper half of 16 bits, or stretch the range if it uses less than a quarter."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _NUM_SAMPLED) ** 0.5))
    low, high = np.percentile(pixels[::step, ::step], _PERCENTILES)
    if high >= _DARK or low == high:
        halves = np.empty(pixels.shape, np.uint8)
        return np.right_shift(pixels, 8, out=halves, casting="unsafe")
    _warn_of_dark_files(
        "tiff" if Path(name).suffix.lower() in (".tif", ".tiff") else "png",
        name,
        f"{low:.0f}..{high:.0f}",
    )
    steps = (np.arange(2**16) - low) * (255 / (high - low))
    table = np.asarray(steps.round().clip(0, 255), np.uint8)
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), 64):  # an index takes 8 bytes: not for all at once
        scaled[row : row + 64] = table[pixels[row : row + 64]]
    return scaled


def _warn_of_dark_files(kind: str, name: str | Path, span: str) -> None:
    with _WARNED[kind].get_lock():
        is_first, _WARNED[kind].value = not _WARNED[kind].value, 1
    if is_first:
        log.warning(
            "%s uses %s of 0..65535: stretched to 0..255, as are all 16-bit %s images below %d, "
            "each by its own percentiles. Save 8 bits if brightness must be comparable",
            name, span, kind.upper(), _DARK,
        )  # fmt: skip


def _is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end, which OpenCV would fill without an error."""
    if is_jpeg(content):
        return not has_jpeg_end(content)
    if content[:4] == b"\x89PNG":
        return b"IEND" not in content[-4096:]
    return not content
