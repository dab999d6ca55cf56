"""``torch.save`` before torch 1.6: five pickles in a row, then the bytes of all storages."""

from __future__ import annotations

import struct
import sys
from typing import Any

import torch

from sapiens_lab.weights.reading.builders import (
    MAX_REPEATS,
    Budget,
    Storage,
    builders,
    constant,
)
from sapiens_lab.weights.reading.layouts import storage_id, swapped
from sapiens_lab.weights.reading.machine import Machine
from sapiens_lab.weights.reading.source import DamagedError, RefusedError, Region
from sapiens_lab.weights.reading.zip_records import MAX_SMALL_RECORD

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def read_old_save(region: Region) -> Any:
    """Return the object of such a file.

    The bytes come after the pickle that uses them, so it is run twice: first to find its end.

    Raises:
        DamagedError: it is cut off or no pickle.
        RefusedError: it is a pickle, but not of torch.
    """
    content = region.read(0, min(region.size, MAX_SMALL_RECORD))
    dtypes: dict[str, torch.dtype] = {}

    def expect(pid: Any) -> Storage:
        dtype, key, _ = storage_id(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise RefusedError("it has views of storages, as torch wrote before 0.4")
        return Storage.empty(dtypes.setdefault(key, dtype))

    first = Machine(content, builders=builders(None), load_storage=expect, constant=constant)
    if first.load() != _MAGIC or first.load() != _PROTOCOL:
        raise RefusedError(
            "it is a pickle that torch.save did not write. A pickle is a program, and only tensors "
            "and plain containers are read: save them with torch.save or safetensors"
        )
    info, position = first.load(), first.position
    is_little = not isinstance(info, dict) or bool(info.get("little_endian", True))
    first.load()
    keys = first.load()
    if not isinstance(keys, list) or set(map(str, keys)) != set(dtypes):
        raise DamagedError("its list of storages is not that of its tensors")
    needs_swap = is_little != (sys.byteorder == "little")
    storages = _read_storages(region, first.position, keys, dtypes, needs_swap=needs_swap)
    budget = Budget(Budget().left + MAX_REPEATS * sum(s.nbytes() for s in storages.values()))

    def load(pid: Any) -> Storage:
        dtype, key, _ = storage_id(pid)
        return Storage(storages[key], dtype)

    second = Machine(
        content, builders=builders(budget), load_storage=load, constant=constant, start=position
    )
    return second.load()


def _read_storages(
    region: Region,
    position: int,
    keys: list[str],
    dtypes: dict[str, torch.dtype],
    *,
    needs_swap: bool,
) -> dict[str, torch.UntypedStorage]:
    """Return what follows the pickles: for every key a number of values and their bytes."""
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", region.read(position, 8))
        dtype = dtypes[key]
        part = region.part(position + 8, count * dtype.itemsize)
        storages[key] = part.storage(alignment=dtype.itemsize)
        if needs_swap:
            storages[key] = swapped(storages[key], dtype)
        position += 8 + part.size
    return storages
