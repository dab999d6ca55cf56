"""Images, arrays and annotations that mean harm: they claim much, hold little, or never end."""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tests.security.hostile_weights import Case, Payload, plain, write_sparse
from tests.security.zips import zeros_deflated

# Strange, but within the limits: some readers take them.
_READ = {
    "bomb_behind_a_small_header.png", "chunk_of_2_gb.png", "claims_60_million.jpg",
    "next_page_is_itself.tif",
    "strip_beyond.tif", "strip_is_short.tif", "many_frames.gif", "largest_of_16_bits.png",
}  # fmt: skip


def png(width: int, height: int, *, bits: int = 8, kind: int = 0, rows: bytes = b"") -> bytes:
    """Return a PNG with this header; its rows are a deflated stream."""

    def chunk(name: bytes, content: bytes) -> bytes:
        total = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", total)

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    stream = rows or zlib.compress(bytes(1000))
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", stream), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zeros(megabytes: int) -> bytes:
    """Return a zlib stream of zeros."""
    return b"\x78\xda" + zeros_deflated(megabytes) + struct.pack(">I", 1)


def jpeg(width: int, height: int) -> bytes:
    """Return a small JPEG whose header claims another size."""
    content = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def tiff(width: int, height: int, *, next_page: int = 0, strips: int = 8, size: int = 16) -> bytes:
    """Return a TIFF of 8-bit gray whose strip lies where one says."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, strips), (277, 1),
            (278, height), (279, size)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", next_page)


def saved(kind: str, size: tuple[int, int], **options: Any) -> bytes:
    """Return an image that Pillow wrote."""
    buffer = io.BytesIO()
    Image.new(options.pop("mode", "RGB"), size).save(buffer, kind, **options)
    return buffer.getvalue()


def with_size(content: bytes, form: str, place: int, *numbers: int) -> bytes:
    """Return a file with other numbers in its header."""
    return content[:place] + struct.pack(form, *numbers) + content[place + struct.calcsize(form) :]


def array(shape: str, kind: str = "<f4", content: bytes = bytes(64)) -> Case:
    """Return an array whose header says what it likes."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return plain(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content)


def image_cases() -> dict[str, Case]:
    """Return images."""
    exr = (
        b"v/1\x01" + bytes(4) + b"dataWindow\0box2i\0" + struct.pack("<5i", 16, 0, 0, 60000, 60000)
    )
    bmp, gif = saved("BMP", (16, 16)), saved("GIF", (16, 16))
    files = {
        "claims_900_million.png": png(30_000, 30_000, rows=zeros(900)),
        "claims_10_to_18.png": png(0x7FFFFFFF, 0x7FFFFFFF),
        "one_row.png": png(0x7FFFFFFF, 1),
        "no_rows.png": png(8192, 8192),
        "one_bit.png": png(60_000, 60_000, bits=1),
        "bomb_behind_a_small_header.png": png(16, 16, rows=zeros(700)),
        "chunk_of_2_gb.png": with_size(png(16, 16), ">I", 33, 0x7FFFFFF0),
        "claims_4_billion.jpg": jpeg(65_500, 65_500),
        "claims_60_million.jpg": jpeg(8000, 7500),
        "endless_segments.jpg": b"\xff\xd8" + b"\xff\xe0\0\2" * 500_000 + b"\xff\xd9",
        "no_segments.jpg": b"\xff\xd8\xff" + b"\0" * 5_000_000 + b"\xff\xd9",
        "claims.tif": tiff(100_000, 100_000),
        "next_page_is_itself.tif": tiff(16, 16, next_page=8),
        "strip_beyond.tif": tiff(16, 16, strips=1 << 30, size=1 << 30),
        "strip_is_short.tif": tiff(8000, 8000),
        "claims.bmp": with_size(bmp, "<ii", 18, 60_000, -60_000),
        "claims.gif": with_size(gif, "<HH", 6, 65_535, 65_535),
        "claims.webp": with_size(saved("WEBP", (16, 16)), "<HH", 26, 16_383, 16_383),
        "claims.exr": exr,
        "many_frames.gif": saved(
            "GIF", (16, 16), save_all=True,
            append_images=[Image.new("RGB", (16, 16), (i % 256, 0, 0)) for i in range(500)],
        ),
        "raw_of_opencv.png": b"P6 60000 60000 255\n" + bytes(100),
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
        "vector.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>",
        "largest_of_16_bits.png": png(8192, 8192, bits=16, kind=2, rows=zeros(385)),
    }  # fmt: skip
    return {name: plain(content, is_refused=name not in _READ) for name, content in files.items()}


def array_cases() -> dict[str, Case]:
    """Return arrays."""
    return {
        "claims_4_tb.npy": array("(1000000, 1000000)"),
        "claims_2_124.npy": array(f"({1 << 62}, {1 << 62})"),
        "negative.npy": array("(-1, 4)"),
        "no_tuple.npy": array("'x'"),
        "calls.npy": array("__import__('os').mkdir('TRACE')"),
        "objects.npy": Case(write_objects),
        "structure.npy": array("(4,)", "[('a', 'f4')]"),
        "wide_items.npy": array("(4,)", f"V{1 << 31}"),
        "deep_header.npy": array("(" * 2000),
        "header_of_4_gb.npy": plain(b"\x93NUMPY\2\0\xff\xff\xff\xff{"),
        "archive.npy": Case(write_archive),
        "sparse_terabyte.npy": sparse(1 << 40, b"\x93NUMPY\1\0"),
        "pipe.npy": Case(lambda path, trace: os.mkfifo(path)),
    }


def text_cases() -> dict[str, Case]:
    """Return annotations and lists of names."""
    laughs = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    return {
        "deep.json": plain(b"[" * 1_000_000),
        "deep_objects.json": plain(b'{"a":' * 1_000_000),
        "long_number.json": plain(b"9" * 5_000_000),
        "colliding.json": plain(
            b"{" + b",".join(b'"%d":0' % (i << 61) for i in range(200_000)) + b"}"
        ),
        "sparse_terabyte.json": sparse(1 << 40),
        "device.json": Case(lambda path, trace: path.symlink_to("/dev/zero")),
        "pipe.json": Case(lambda path, trace: os.mkfifo(path)),
        "tag.yaml": plain(b"keypoints: !!python/object/apply:os.mkdir ['TRACE']\n"),
        "laughs.yaml": plain(laughs.encode()),
        "deep.yaml": plain(b"[" * 3000),
        "long.yaml": plain(b"a: " + b"x" * (5 << 20)),
        "holds_itself.yaml": plain(b"keypoints: &a [*a]\n"),
    }


def file_cases() -> dict[str, Case]:
    """Return what is no plain file, as an image."""
    return {
        "pipe.png": Case(lambda path, trace: os.mkfifo(path)),
        "device.png": Case(lambda path, trace: path.symlink_to("/dev/zero")),
        "folder.png": Case(lambda path, trace: path.mkdir()),
        "sparse_terabyte.png": sparse(1 << 40, b"\x89PNG\r\n\x1a\n"),
    }


def sparse(size: int, start: bytes = b"") -> Case:
    """Return a file of zeros that takes no room."""
    return Case(lambda path, trace: write_sparse(path, size, start))


def write_objects(path: Path, trace: Path) -> None:
    """Write an array of objects, which NumPy pickles."""
    evil = pickle.dumps(Payload(trace / path.name), protocol=2)
    write: Callable[[Path, Path], None] = array("(4,)", "|O", evil).write
    write(path, trace)


def write_archive(path: Path, trace: Path) -> None:
    """Write an archive of arrays under the name of one."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(10_000_000))
    path.write_bytes(buffer.getvalue())


@functools.cache
def cases() -> dict[str, Case]:
    """Return all of them by the name of their file."""
    return {**image_cases(), **array_cases(), **text_cases(), **file_cases()}
