"""Sizes from headers are those that decoders find."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data.headers import size_in_header


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0", "comment": b"\xff\xc0" * 20}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": True, "exif": b"MM\0*\0\0\0\x08\0\0"}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_what_pillow_writes(kind: str, options: dict[str, object], mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (300, 20)).save(buffer, kind, **options)
    assert size_in_header(buffer.getvalue()) == (20, 300)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp", ".bmp"])
def test_what_opencv_writes(suffix: str) -> None:
    content = cv2.imencode(suffix, np.zeros((20, 300, 3), np.uint8))[1].tobytes()
    assert size_in_header(content) == (20, 300)


def test_the_largest_page_of_a_tiff_counts() -> None:
    buffer = io.BytesIO()
    pages = [Image.new("L", size) for size in ((5, 5), (300, 20), (4, 4))]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    assert size_in_header(buffer.getvalue()) == (20, 300)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0\x08\0\0\0", b"P6 3 3", b"RIFF"]
)
def test_what_has_no_header(content: bytes) -> None:
    assert size_in_header(content) is None
