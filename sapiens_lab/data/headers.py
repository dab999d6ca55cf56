"""Sizes of images from the first bytes of their files, before anything is decoded.

Decoders take memory for what a header claims; a file of 3 MB can claim 30,000 x 30,000 pixels.
Layouts: PNG (RFC 2083, 11.2.2), JPEG (T.81, B.2.2), TIFF 6.0 and BigTIFF, WebP (RFC 9649), GIF89a,
BMP, OpenEXR.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length
_SCAN, _END, _TABLES = 0xDA, 0xD9, 0xC4
_ZEROS = bytes(32)
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in a scan, all others are data
_MAX_CHUNKS = 1_000_000  # of a PNG; writers make one every 8 KB or more
_TIFF_FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


def size_in_header(content: bytes) -> tuple[int, int] | None:
    """Return (height, width) as stored, or nothing for an unknown format or a broken header."""
    for mark, read in _READERS:
        if content.startswith(mark):
            try:
                return read(content)
            except (struct.error, IndexError):
                return None
    return None


def has_jpeg_end(content: bytes) -> bool:
    """Return whether a JPEG's own end is there, whatever lies behind it, as in motion photos.

    The end of a thumbnail, which lies within a segment, does not count.
    """
    return any(marker == _END for marker, _ in _segments(content))


def has_zeroed_scan(content: bytes) -> bool:
    """Return whether a sequential JPEG has zeros where a scan cannot have them.

    Zeros are the shortest codes over and over. Only tables with codes of one bit, as encoders make
    for flat images, let that be an image.
    """
    start = None
    for marker, position in _segments(content):
        if marker in _FRAMES and marker not in (0xC0, 0xC1):
            return False  # progressive: whole scans may be zero
        if marker == _TABLES and any(content[i + 1] for i in _tables(content, position)):
            return False
        if marker == _SCAN:
            start = position
    return start is not None and _ZEROS in content[start:]


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG and where their lengths stand, to the first that is broken."""
    position = 2
    while position + 1 < len(content):
        marker = content[position + 1]
        if content[position] != 0xFF or marker == 0xFF:
            position += 1
            continue
        yield marker, position + 2
        if marker == _END:
            return
        if marker in _ALONE:
            position += 2
            continue
        if position + 4 > len(content):
            return
        (length,) = struct.unpack_from(">H", content, position + 2)
        position += 2 + length
        if marker == _SCAN:
            found = _MARKER.search(content, position)
            if found is None:
                return
            position = found.start()


def _tables(content: bytes, position: int) -> Iterator[int]:
    """Yield where the tables of AC coefficients begin in a segment of Huffman tables."""
    (length,) = struct.unpack_from(">H", content, position)
    place, end = position + 2, position + length
    while place + 17 <= min(end, len(content)):
        if content[place] >> 4:
            yield place
        place += 17 + sum(content[place + 1 : place + 17])


def _png(content: bytes) -> tuple[int, int] | None:
    """Check all chunks too: OpenCV takes memory for the length that one claims."""
    width, height = struct.unpack_from(">II", content, 16)
    position = 8
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", content, position)
        position += 12 + length
        if position > len(content):
            return None
        if kind == b"IEND":
            return height, width
    return None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    position = 2
    while position < len(content):
        if content[position] != 0xFF:
            position = content.find(b"\xff", position)  # decoders skip what is between segments
            if position < 0:
                return None
            continue
        marker = content[position + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return height, width
        if marker in _ALONE or marker == 0xFF:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        position += 2 + length
    return None


def _tiff(content: bytes) -> tuple[int, int] | None:
    """Return the largest size of all pages: decoders may take any of them."""
    order = "<" if content[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", content, 2)
    offset, counter, entry, value = ("Q", "Q", 20, 12) if version == 43 else ("I", "H", 12, 8)
    (position,) = struct.unpack_from(f"{order}{offset}", content, 8 if version == 43 else 4)
    best = (0, 0)
    seen: set[int] = set()
    while position and position not in seen and len(seen) < 1000:
        seen.add(position)
        (count,) = struct.unpack_from(f"{order}{counter}", content, position)
        first = position + struct.calcsize(counter)
        found = {}
        for start in range(first, first + min(count, 4096) * entry, entry):
            tag, kind = struct.unpack_from(f"{order}HH", content, start)
            if tag in (_TIFF_WIDTH, _TIFF_HEIGHT) and kind in _TIFF_FORMS:
                (found[tag],) = struct.unpack_from(
                    f"{order}{_TIFF_FORMS[kind]}", content, start + value
                )
        size = found.get(_TIFF_HEIGHT, 0), found.get(_TIFF_WIDTH, 0)
        best = max(best, size, key=lambda size: size[0] * size[1])
        (position,) = struct.unpack_from(f"{order}{offset}", content, first + count * entry)
    return best if all(best) else None


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[i : i + 3], "little") for i in (24, 27))
        return height + 1, width + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _gif(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", content, 6)
    return height, width


def _bmp(content: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", content, 18)
    return abs(height), abs(width)


def _exr(content: bytes) -> tuple[int, int] | None:
    window = content[: 1 << 16].find(b"dataWindow\0box2i\0")
    if window < 0:
        return None
    left, top, right, bottom = struct.unpack_from("<4i", content, window + 21)
    return bottom - top + 1, right - left + 1


_READERS = (
    (b"\x89PNG\r\n\x1a\n", _png), (b"\xff\xd8", _jpeg), (b"II*\0", _tiff), (b"MM\0*", _tiff),
    (b"II+\0", _tiff), (b"MM\0+", _tiff), (b"RIFF", _webp), (b"GIF8", _gif), (b"BM", _bmp),
    (b"v/1\x01", _exr),
)  # fmt: skip
