"""Arrays as the bytes of image files, and back."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.synthetic.rendering.arrays import F32

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]


def png(pixels: NDArray[Any]) -> bytes:
    """Encode 8 or 16 bits; three channels are RGB."""
    return _encode(".png", pixels, _PNG)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode RGB at quality 95, with full color resolution."""
    return _encode(".jpg", pixels, _JPEG)


def npy(values: NDArray[Any]) -> bytes:
    """Return the bytes of a NumPy file."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def decode(data: bytes) -> NDArray[Any]:
    """Decode PNG or JPEG; three channels are RGB.

    Raises:
        ValueError, cv2.error: the bytes are damaged.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("damaged image")
    return np.ascontiguousarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def millimeters(depth: F32) -> NDArray[np.uint16]:
    """Convert meters to whole millimeters, at most 65535."""
    return np.clip(np.rint(depth * 1000), 0, 65535).astype(np.uint16)


def _encode(suffix: str, pixels: NDArray[Any], options: list[int]) -> bytes:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(suffix, np.ascontiguousarray(bgr), options)
    assert done, suffix
    return bytes(data)
