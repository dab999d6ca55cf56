"""``Frame``: an image that has not been read yet. A source of images yields frames.

Videos will be one more source: whatever yields frames can be predicted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sapiens_lab.data.images import decode, read_content
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.limits import check_pixels

log = logging.getLogger(__name__)

_said: list[str] = []  # the image of which it was said that it is animated


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """An image to be predicted."""

    name: str  # its path, or what messages call it
    key: str  # of its files, below the folder of their kind, without a suffix
    read: Callable[[], NDArray[np.uint8]]  # -> (H, W, 3) RGB; raises ValueError or OSError
    boxes: Boxes | None = None  # of its people, where they are known


def file_frame(path: str, key: str, boxes: Boxes | None = None) -> Frame:
    """Return the frame of an image's file."""
    return Frame(name=path, key=key, read=lambda: _read(path), boxes=boxes)


def _read(path: str) -> NDArray[np.uint8]:
    content = read_content(path)
    if is_animated(content) and not _said:
        _said.append(path)
        log.warning("%s is animated: of such files the first image is taken", path)
    return decode(content, path)


def is_animated(content: bytes) -> bool:
    """Return whether a GIF, PNG or WebP may hold several images, by its header."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return b"ANIM" in content[12:64]
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return b"acTL" in content[8:512]
    return content[:4] == b"GIF8" and content.count(b"\x21\xf9\x04") > 1


def memory_frame(image: Any, name: str = "image", boxes: Boxes | None = None) -> Frame:
    """Return the frame of an image in memory.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, or gray, or with alpha; or an image of Pillow.
        name: what messages call it.
        boxes: of its people, where they are known.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(image, Image.Image):
        check_pixels(image.height, image.width, name)
        image = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(
            f"{name} is an array {pixels.shape} of {pixels.dtype}; an image is (height, width, 3) "
            "uint8 in RGB, 0..255"
        )
    check_pixels(pixels.shape[0], pixels.shape[1], name)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.shape[2] not in (3, 4):
        raise ValueError(
            f"{name} is an array {pixels.shape}; the channels, red, green and blue, come last"
        )
    rgb = np.ascontiguousarray(pixels[..., :3])
    return Frame(name=name, key=name, read=lambda: rgb, boxes=boxes)
