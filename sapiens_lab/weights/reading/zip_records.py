"""The records of a zip archive, by exact name, each checked before it is read.

Readers of zip files disagree on case, duplicate names, data before the first record and names in
the two headers; an archive may show one of them a harmless content and another one a program.
Whatever two readers could see differently is refused here (APPNOTE.TXT 6.3.10, sections 4.3-4.5).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sapiens_lab.weights.reading.source import DamagedError, RefusedError, Region

MAX_RECORDS = 100_000
MAX_SMALL_RECORD = 64 << 20  # pickles and tables, which are held in memory [bytes]
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1 | 1 << 6 | 1 << 13  # flag bits: encrypted, strongly, with a masked header
_ZIP64, _OTHER_NAME = 0x0001, 0x7075  # ids of extra fields

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's bytes lie."""

    name: str
    header: int  # offset of the local header
    size: int  # in the file [bytes]
    full_size: int  # after inflation, as the archive says [bytes]
    crc: int
    is_deflated: bool


class Archive:
    """A zip archive in a region of a file.

    Raises:
        DamagedError: it is cut off or its tables contradict each other.
        RefusedError: names or flags that no file of weights has.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        count, start, size = _find_directory(region)
        directory = bytes(region.read(start, size))
        self._records: dict[str, Record] = {}
        folded: dict[str, str] = {}
        for record in _entries(directory, count):
            other = folded.setdefault(record.name.casefold(), record.name)
            if record.name in self._records or other != record.name:
                raise RefusedError(
                    f"two of its records are called {other!r} and {record.name!r}: readers would "
                    "take one for the other"
                )
            self._records[record.name] = record
        self._starts = self._check_places(start)
        # With torch.serialization.set_crc32_options(False) all of them are 0.
        self._has_checksums = any(record.crc for record in self._records.values())
        self._checked: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Names of the records that are not folders."""
        return [name for name in self._records if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def region(self, name: str) -> Region:
        """Return a record's bytes in the file, after a check of its sum.

        Raises:
            DamagedError: there is no such record, or its checksum is another.
            RefusedError: it is compressed.
        """
        record = self._record(name)
        if record.is_deflated:
            raise RefusedError(f"its record {name!r} is compressed, as torch never writes tensors")
        part = self._region.part(self._starts[name], record.size)
        if self._has_checksums and name not in self._checked and part.crc() != record.crc:
            raise DamagedError(f"the checksum of its record {name!r} is another")
        self._checked.add(name)
        return part

    def read(self, name: str, limit: int = MAX_SMALL_RECORD) -> memoryview:
        """Return the content of a small record.

        Raises:
            DamagedError: as ``region``.
            RefusedError: it is larger than ``limit`` bytes, whatever its header says.
        """
        record = self._record(name)
        if max(record.size, record.full_size) > limit:
            raise RefusedError(f"its record {name!r} has more than {limit >> 20} MB")
        if not record.is_deflated:
            return self.region(name).read()
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(
            self._region.read(self._starts[name], record.size), record.full_size + 1
        )
        if len(content) != record.full_size or not inflater.eof:
            raise DamagedError(f"its record {name!r} has another size than the archive says")
        if self._has_checksums and zlib.crc32(content) != record.crc:
            raise DamagedError(f"the checksum of its record {name!r} is another")
        return memoryview(content)

    def _record(self, name: str) -> Record:
        if name not in self._records:
            raise DamagedError(f"it has no record {name!r}")
        return self._records[name]

    def _check_places(self, directory: int) -> dict[str, int]:
        """Return where each record's bytes start; records may neither overlap nor hide."""
        starts: dict[str, int] = {}
        free = 0
        for record in sorted(self._records.values(), key=lambda record: record.header):
            if record.header < free or (not starts and record.header):
                raise RefusedError("its records overlap, or something lies before the first")
            start = record.header + _local_size(self._region, record)
            free = start + record.size
            if free > directory:
                raise DamagedError(f"its record {record.name!r} ends beyond the archive")
            starts[record.name] = start
        return starts


def _find_directory(region: Region) -> tuple[int, int, int]:
    """Return the number of entries of the central directory, its start and its size."""
    end = region.size - _END.size
    if end < 0:
        raise DamagedError("it is too short for a zip archive")
    mark, disk, first, here, count, size, start, comment = _END.unpack(region.read(end, _END.size))
    if mark != b"PK\5\6" or comment:
        raise DamagedError("the end of the zip archive is missing")
    if (disk, first) != (0, 0) or here != count:
        raise RefusedError("it is a part of a zip archive of several disks")
    place = end - _LOCATOR.size
    if place >= 0 and bytes(region.read(place, 4)) == b"PK\6\7":
        _, disk, where, disks = _LOCATOR.unpack(region.read(place, _LOCATOR.size))
        fields = _END64.unpack(region.read(where, _END64.size))
        if fields[0] != b"PK\6\6" or where + _END64.size != place or disk or disks != 1:
            raise DamagedError("the end of the zip archive is damaged")
        short = (count, size, start)
        count, size, start = fields[7:]
        for small, large, full in zip(short, fields[7:], (1 << 16, 1 << 32, 1 << 32), strict=True):
            if small not in (large, full - 1):
                raise RefusedError("its two tables of contents contradict each other")
        end = where
    if count > MAX_RECORDS:
        raise RefusedError(f"it has more than {MAX_RECORDS} records")
    if start + size != end:
        raise DamagedError("its table of contents is not where it should be")
    return count, start, size


def _entries(directory: bytes, count: int) -> Iterator[Record]:
    position = 0
    for _ in range(count):
        if position + _ENTRY.size > len(directory):
            raise DamagedError("its table of contents is cut off")
        fields = _ENTRY.unpack_from(directory, position)
        mark, made, _, flags, method, _, _, crc, size, full_size = fields[:10]
        name_size, extra_size, comment_size, disk, _, attributes, header = fields[10:]
        position += _ENTRY.size
        raw = directory[position : position + name_size]
        extra = directory[position + name_size : position + name_size + extra_size]
        position += name_size + extra_size + comment_size
        if mark != b"PK\1\2" or disk or position > len(directory):
            raise DamagedError("its table of contents is damaged")
        name = _checked_name(raw)
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            raise RefusedError(f"its record {name!r} is encrypted or compressed in a rare way")
        mode = attributes >> 16 if made >> 8 == 3 else 0  # 3: written on Unix
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RefusedError(f"its record {name!r} is a link or a device")
        full_size, size, header = _long_sizes(extra, full_size, size, header)
        if (method == _STORED and size != full_size) or (name.endswith("/") and full_size):
            raise DamagedError(f"the sizes of its record {name!r} contradict each other")
        yield Record(name, header, size, full_size, crc, method == _DEFLATED)
    if position != len(directory):
        raise DamagedError("its table of contents is longer than it says")


def _checked_name(raw: bytes) -> str:
    """Return a record's name; refuse those that could mean a place outside."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("a record's name is not UTF-8") from None
    parts = name.removesuffix("/").split("/")
    if (
        not name.removesuffix("/")
        or any(part in ("", ".", "..") for part in parts)
        or "\\" in name
        or parts[0][1:2] == ":"
        or not name.isprintable()
    ):
        raise RefusedError(f"the name of its record {name[:80]!r} is no relative path")
    return name


def _long_sizes(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Replace sizes that do not fit 32 bits by those of the extra field."""
    found: bytes | None = None
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, position)
        if kind == _OTHER_NAME or (kind == _ZIP64 and found is not None):
            raise RefusedError("a record has two names or sizes")
        if kind == _ZIP64:
            found = extra[position + 4 : position + 4 + size]
        position += 4 + size
    longs = iter(
        struct.unpack(f"<{len(found) // 8}Q", found[: len(found) // 8 * 8]) if found else ()
    )
    try:
        a, b, c = (next(longs) if value == 0xFFFFFFFF else value for value in values)
    except (RuntimeError, StopIteration):
        raise DamagedError("a size in its table of contents is missing") from None
    return a, b, c


def _local_size(region: Region, record: Record) -> int:
    """Return the size of a record's own header, which must agree with the table of contents."""
    mark, _, _, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack(
        region.read(record.header, _LOCAL.size)
    )
    name = bytes(region.read(record.header + _LOCAL.size, name_size))
    expected = _DEFLATED if record.is_deflated else _STORED
    if mark != b"PK\3\4" or name != record.name.encode() or method != expected:
        raise RefusedError(f"the two headers of its record {record.name!r} contradict each other")
    return int(_LOCAL.size + name_size + extra_size)
