"""RGB images: resizing, text, and files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sapiens_lab.atomic import write_bytes

RGBImage: TypeAlias = NDArray[np.uint8]  # (H, W, 3)

WHITE, INK = (255, 255, 255), (40, 40, 40)
_BAND = 0.35  # brightness that is left of the image under a caption


def fit_height(image: RGBImage, low: int, high: int) -> RGBImage:
    """Enlarge an image of fewer than ``low`` rows, reduce one of more than ``high``."""
    height, width = image.shape[:2]
    rows = min(max(height, low), high)
    method = cv2.INTER_LINEAR if rows > height else cv2.INTER_AREA
    size = (round(width * rows / height), rows)
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def font_size(height: int) -> int:
    """Return the size [pixels] of text beside or on an image of so many rows."""
    return min(max(11, height // 24), 18)


def text_width(text: str, size: int) -> int:
    """Return how many columns a line of text takes."""
    return int(np.ceil(_font(size).getlength(text)))


def draw_text(
    image: RGBImage, text: str, xy: tuple[int, int], size: int, color: tuple[int, int, int] = INK
) -> None:
    """Write a line of text into the image; ``xy`` is the left end of its middle line."""
    left, top = max(0, xy[0] - size), max(0, xy[1] - 2 * size)
    # A sheet of large images is not copied for every line of text.
    around = image[top : xy[1] + 2 * size, left : xy[0] + text_width(text, size) + size]
    if around.size:
        canvas = Image.fromarray(np.ascontiguousarray(around))
        place = (xy[0] - left, xy[1] - top)
        ImageDraw.Draw(canvas).text(place, text, fill=color, font=_font(size), anchor="lm")
        around[:] = np.asarray(canvas)


def add_caption(image: RGBImage, text: str) -> RGBImage:
    """Return the image with a text over its darkened bottom, in as many lines as it needs."""
    out: RGBImage = image.copy()
    size = font_size(image.shape[0])
    lines = _wrap(text, size, image.shape[1] - size)
    pitch = round(1.3 * size)
    top = max(0, image.shape[0] - pitch * len(lines) - size // 2)
    out[top:] = (out[top:] * _BAND).astype(np.uint8)
    for number, line in enumerate(lines):
        draw_text(out, line, (size // 2, top + pitch * number + round(0.9 * size)), size, WHITE)
    return out


def write_image(path: Path, image: RGBImage, *, options: tuple[int, ...] = ()) -> None:
    """Write an image in the format of the path's suffix, making its folder.

    Args:
        path: of the file.
        image: ``(H, W, 3)``.
        options: of ``cv2.imencode``.

    Raises:
        ValueError: OpenCV writes no files of this suffix.
        WriteError: the file cannot be written.
    """
    if not cv2.haveImageWriter(str(path)):
        raise ValueError(f"{path}: images are written as .png or .jpg; change the name")
    _, content = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]), options)
    write_bytes(path, content.tobytes())


def encode_jpeg(image: RGBImage, quality: int = 82) -> bytes:
    """Return the content of a JPEG of an image ``(H, W, 3)``."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    _, content = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return bytes(content)


def _wrap(text: str, size: int, width: int) -> list[str]:
    lines: list[str] = []
    for part in text.splitlines():
        line = ""
        for word in part.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
