"""Zip archives written byte by byte, so that they can lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(kw_only=True)
class Entry:
    """A record; what is not given is as it should be."""

    name: str
    content: bytes = b""  # as it lies in the file
    local_name: str | None = None
    method: int = 0
    flags: int = 0
    attributes: int = 0
    crc: int | None = None
    size: int | None = None
    full_size: int | None = None
    extra: bytes = b""
    header: int | None = None  # offset of the local header


def write_zip(
    path: Path,
    entries: Sequence[Entry],
    *,
    before: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    start: int | None = None,
    locator: bytes = b"",
) -> None:
    """Write an archive; ``count`` and ``start`` are those of its table of contents."""
    body, table = bytearray(before), bytearray()
    for entry in entries:
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        size = len(entry.content) if entry.size is None else entry.size
        full = size if entry.full_size is None else entry.full_size
        name = entry.name.encode()
        local = name if entry.local_name is None else entry.local_name.encode()
        header = len(body) if entry.header is None else entry.header
        common = struct.pack("<4H3L", entry.flags, entry.method, 0, 0x21, crc, size, full)
        if entry.header is None:
            body += b"PK\3\4" + struct.pack("<H", 20) + common
            body += struct.pack("<2H", len(local), 0) + local + entry.content
        made = 3 << 8 | 20
        table += b"PK\1\2" + struct.pack("<2H", made, 20) + common
        table += struct.pack(
            "<5H2L", len(name), len(entry.extra), 0, 0, 0, entry.attributes, header
        )
        table += name + entry.extra
    number = len(entries) if count is None else count
    place = len(body) if start is None else start
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(table), place, len(comment))
    path.write_bytes(bytes(body) + bytes(table) + locator + end + comment)


def zeros_deflated(megabytes: int) -> bytes:
    """Return a stream of a thousandth of the size that inflates to that many megabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
