"""The zip archives that torch writes: where their pickles and tensors lie.

``torch.save`` since 1.6, TorchScript, and ``torch.export`` as of torch 2.1, 2.8 and 2.9. Programs
in them are not looked at.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sapiens_lab.weights.reading.builders import (
    MAX_REPEATS,
    Budget,
    Storage,
    builders,
    constant,
    make_tensor,
)
from sapiens_lab.weights.reading.machine import Machine
from sapiens_lab.weights.reading.source import DamagedError, RefusedError, Region
from sapiens_lab.weights.reading.stubs import ScriptObject
from sapiens_lab.weights.reading.zip_records import Archive

MAX_TABLE = 8 << 20  # JSON of shapes; 1000 tensors take 0.4 MB [bytes]

# Numbers of `torch.export`'s schema (torch/_export/serde/schema.py: ScalarType).
_EXPORT_DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
    7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip


def read_archive(region: Region) -> Any:
    """Return the content of a zip archive of torch, whichever layout it has.

    Raises:
        DamagedError, RefusedError: what is wrong with it.
    """
    archive = Archive(region)
    names = archive.names
    if old := [name for name in names if name.split("/")[-1] == "serialized_state_dict.pt"]:
        return _read_inner(archive, old[0])
    roots = {name.split("/", 1)[0] for name in names if "/" in name}
    root = f"{min(roots)}/" if len(roots) == 1 else "/"
    if f"{root}data/weights/model_weights_config.json" in archive:
        return _exported(archive, f"{root}data/weights/")
    if f"{root}data/weights/model.pt" in archive:
        return _read_inner(archive, f"{root}data/weights/model.pt")
    if f"{root}data.pkl" not in archive:
        raise RefusedError(
            "it is a zip archive of something else: torch.save, TorchScript and torch.export "
            f"write other records than {', '.join(names[:3])}"
        )
    if any(name.startswith(f"{root}code/") for name in names):
        return _attributes(_pickled(archive, root, keeps_scripts=True))
    return _saved(archive, root)


def _read_inner(archive: Archive, name: str) -> Any:
    """Return the content of a file of ``torch.save`` that is a record of an archive."""
    inner = Archive(archive.region(name))
    root = inner.names[0].split("/", 1)[0] if inner.names else ""
    return _saved(inner, f"{root}/")


def _saved(archive: Archive, root: str) -> Any:
    """Return the content of an archive of ``torch.save``, which has these records and no others."""
    for name in archive.names:
        inside = name.removeprefix(root)
        known = inside.startswith((".", "data/")) or inside in ("data.pkl", "version", "byteorder")
        if not known or not name.startswith(root):
            raise RefusedError(f"it has a record that torch.save does not write: {name!r}")
    return _pickled(archive, root)


def _pickled(archive: Archive, root: str, *, keeps_scripts: bool = False) -> Any:
    """Return the object of ``data.pkl``, whose tensors lie in ``data/``."""
    budget = Budget()
    storages: dict[str, torch.UntypedStorage] = {}
    order = "little"
    if f"{root}byteorder" in archive:
        order = bytes(archive.read(f"{root}byteorder", 16)).decode("latin-1")
        if order not in ("little", "big"):
            raise DamagedError("its byte order is neither little nor big")

    def load(pid: Any) -> Storage:
        dtype, key, count = storage_id(pid)
        if key not in storages:
            content = archive.region(f"{root}data/{key}").storage(alignment=dtype.itemsize)
            if order != sys.byteorder:
                content = swapped(content, dtype)
            storages[key] = content
            budget.left += MAX_REPEATS * content.nbytes()
        if count * dtype.itemsize > storages[key].nbytes():
            raise DamagedError(f"its record data/{key} is shorter than its {count} numbers")
        return Storage(storages[key], dtype)

    machine = Machine(
        archive.read(f"{root}data.pkl"),
        builders=builders(budget),
        load_storage=load,
        constant=constant,
        keeps_scripts=keeps_scripts,
    )
    return machine.load()


def storage_id(pid: Any) -> tuple[torch.dtype, str, int]:
    """Return dtype, key and number of values of a storage."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        raise DamagedError("its pickle names what is no storage")
    storage, key, count = pid[1], pid[2], pid[4]
    if not isinstance(storage, Storage):
        raise RefusedError(f"it has a storage of the unknown type {storage}")
    if not isinstance(key, str) or type(count) is not int or not 0 <= count < 1 << 62:
        raise DamagedError("its pickle names what is no storage")
    return storage.dtype, key, count


def swapped(content: torch.UntypedStorage, dtype: torch.dtype) -> torch.UntypedStorage:
    """Return a copy whose numbers have the other byte order."""
    width = dtype.itemsize // (2 if dtype.is_complex else 1)
    flat = torch.empty(0, dtype=torch.uint8).set_(content)
    turned = np.asarray(flat).view(f"u{width}").byteswap()
    return torch.from_numpy(turned.view(np.uint8)).untyped_storage()


def _attributes(root: Any) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript program by the paths of their modules."""
    found: dict[str, Tensor] = {}
    waiting = [(root, "")]
    while waiting:
        node, prefix = waiting.pop()
        if not isinstance(node, ScriptObject):
            continue
        for name, value in node.attributes.items():
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
            elif prefix.count(".") < 50:
                waiting.append((value, f"{prefix}{name}."))
    return found


def _exported(archive: Archive, folder: str) -> dict[str, Any]:
    """Read ``torch.export`` of torch 2.9 and later: raw bytes beside a table of their shapes."""
    table = json.loads(bytes(archive.read(f"{folder}model_weights_config.json", MAX_TABLE)))
    budget = Budget()
    storages: dict[str, torch.UntypedStorage] = {}
    pickled: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    for name, entry in table["config"].items():
        record, meta = f"{folder}{entry['path_name']}", entry["tensor_meta"]
        if entry.get("use_pickle"):
            if record not in pickled:
                pickled[record] = _read_inner(archive, record)
            tensors[name] = pickled[record]
            continue
        if meta["dtype"] not in _EXPORT_DTYPES:
            raise RefusedError(f"{name} is of the dtype {meta['dtype']}, which is not read")
        dtype = _EXPORT_DTYPES[meta["dtype"]]
        if record not in storages:
            storages[record] = archive.region(record).storage(alignment=dtype.itemsize)
            budget.left += MAX_REPEATS * storages[record].nbytes()
        sizes, strides = (
            [number["as_int"] for number in meta[key]] for key in ("sizes", "strides")
        )
        offset = meta["storage_offset"]["as_int"]
        storage = Storage(storages[record], dtype)
        tensors[name] = make_tensor(storage, dtype, offset, sizes, strides, budget)
    return tensors
