"""Reading pictures of any mode as 8-bit RGB, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


def read_image(path: str | Path, *, reduce: int = 1) -> NDArray[np.uint8]:
    """Read a picture as ``(H, W, 3)`` RGB uint8.

    Grey and palette pictures become colour, alpha is dropped, 16 bits become 8 by their upper
    half, and the orientation in EXIF is applied: annotate what a viewer shows.

    Args:
        path: of a format that OpenCV reads (JPEG, PNG, WebP, TIFF, ...).
        reduce: 1, 2 or 4; decode at a fraction of the size, which is much faster for JPEG.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, damaged or not a picture.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(f"cannot open the picture {path}: {error.strerror}") from error
    if _is_cut_off(content):
        raise ValueError(f"the picture {path} is truncated ({len(content)} bytes); copy it again")
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), _REDUCED[reduce])
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(f"{path} is damaged or not a picture; copy it again or take it out")
    return np.ascontiguousarray(pixels[..., ::-1])


def _is_cut_off(content: bytes) -> bool:
    """Tell whether a JPEG or PNG lacks its end: OpenCV would fill the rest with grey, silently."""
    if content[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in content[-4096:]  # cameras append data behind the end
    if content[:4] == b"\x89PNG":
        return b"IEND" not in content[-4096:]
    return not content
