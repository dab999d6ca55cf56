"""A file's bytes, mapped into memory: read where they lie, and checked before they are used."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

_BLOCK = 1 << 24


class DamagedError(ValueError):
    """The bytes are not what they should be: cut off, changed, or of another kind."""


class RefusedError(ValueError):
    """The file asks for something that is not done; the message says what and why."""


def file_crc(path: Path) -> int:
    """Return the CRC-32 of a file that is not empty."""
    with path.open("rb") as file:
        return Region.of_file(file.fileno(), is_mapped=True).crc()


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a file.

    Args:
        descriptor: of the open file, for checksums: what is mapped counts as this process's memory.
        view: of the whole file.
        start: first byte in the file.
        size: in bytes.
        is_mapped: tensors lie in the map, which is private: writing changes no file. Otherwise
            they are copies, which stay whole when the file is overwritten.
    """

    descriptor: int
    view: memoryview
    start: int
    size: int
    is_mapped: bool

    @classmethod
    def of_file(cls, descriptor: int, *, is_mapped: bool) -> Region:
        """Map a file that is not empty."""
        view = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
        return cls(descriptor, view, 0, len(view), is_mapped)

    def part(self, start: int, size: int) -> Region:
        """Return a stretch within this one.

        Raises:
            DamagedError: it would end beyond.
        """
        if start < 0 or size < 0 or start + size > self.size:
            raise DamagedError("it ends too early")
        return Region(self.descriptor, self.view, self.start + start, size, self.is_mapped)

    def read(self, start: int = 0, size: int | None = None) -> memoryview:
        """Return bytes without a copy.

        Raises:
            DamagedError: they would end beyond.
        """
        part = self.part(start, self.size - start if size is None else size)
        return self.view[part.start : part.start + part.size]

    def crc(self) -> int:
        """Return the CRC-32 of all bytes."""
        value = 0
        for _, block in self._blocks():
            value = zlib.crc32(block, value)
        return value

    def storage(self, *, alignment: int = 1) -> torch.UntypedStorage:
        """Return the bytes as a tensor's storage, copied only if they are not aligned."""
        if self.is_mapped and self.size and not self.start % alignment:
            flat = torch.frombuffer(
                self.view, dtype=torch.uint8, count=self.size, offset=self.start
            )
        else:
            flat = torch.empty(self.size, dtype=torch.uint8)
            target = flat.numpy()
            for position, block in self._blocks():
                target[position : position + len(block)] = np.frombuffer(block, np.uint8)
        return flat.untyped_storage()

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Read from the file: pages of the map that are touched count as memory."""
        position = 0
        while position < self.size:
            size = min(_BLOCK, self.size - position)
            block = os.pread(self.descriptor, size, self.start + position)
            if not block:
                raise DamagedError("it became shorter while it was read")
            yield position, block
            position += len(block)
