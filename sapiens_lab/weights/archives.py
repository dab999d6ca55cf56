"""Files of weights of every container, told apart by content and read without running anything.

TorchScript and ``torch.export`` archives are programs with tensors inside; only the tensors are
taken, straight from the archive, so neither the program nor the version of its format matters.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sapiens_lab.weights.pickles import Stub, allowed_global, load_pickled

# Numbers of `torch.export`'s schema (torch/_export/serde/schema.py: ScalarType).
_EXPORT_DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
    7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_STORAGES = {
    "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16, "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "BoolStorage": torch.bool, "ByteStorage": torch.uint8,
}  # fmt: skip


def read_content(path: Path) -> Any:
    """Return what a file holds: nested containers of tensors, other objects replaced by stubs.

    Raises:
        ValueError: the file is empty, truncated, damaged or no file of weights; says what it
            seems to be.
    """
    start = _start_of(path)
    try:
        if start[8:9] == b"{" and start[:2] != b"PK":
            return load_file(path)
        if start[:2] != b"PK":
            return load_pickled(path)
        with zipfile.ZipFile(path) as file:
            names = {name.split("/", 1)[-1] for name in file.namelist()}
            if "serialized_state_dict.pt" in {name.split("/")[-1] for name in names}:
                return _old_export(file)
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or damaged: {error}; copy it again") from error
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is truncated or damaged ({path.stat().st_size} bytes); download or copy it "
            "again"
        ) from error
    if "data/weights/model_weights_config.json" in names:
        return _export(path)
    if any(name.startswith("code/") for name in names):
        return _torchscript(path)
    return load_pickled(path)


def _start_of(path: Path) -> bytes:
    """Return the first bytes; name the usual things that are not weights."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder without config.json; name the file in it")
    with path.open("rb") as file:
        start = file.read(64)
    text = start.lstrip().lower()
    if not start:
        raise ValueError(f"{path} is empty; download or copy it again")
    if text.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a pointer of git-lfs, not the file: run `git lfs pull`, or download it"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(
            f"{path} is a web page, probably an error or a log-in page that was saved in place of "
            "the file; download the file itself"
        )
    return start


def _old_export(file: zipfile.ZipFile) -> Any:
    """Read ``torch.export`` of torch 2.1 to 2.7: a state dict of ``torch.save`` in the zip."""
    name = next(n for n in file.namelist() if n.endswith("serialized_state_dict.pt"))
    return torch.load(io.BytesIO(file.read(name)), map_location="cpu", weights_only=True)


def _export(path: Path) -> dict[str, Tensor]:
    """Read ``torch.export`` of later versions: raw bytes beside a table of their shapes."""
    archive = torch._C.PyTorchFileReader(str(path))
    table = json.loads(archive.get_record("data/weights/model_weights_config.json"))
    tensors = {}
    for name, entry in table["config"].items():
        meta = entry["tensor_meta"]
        record = f"data/weights/{entry['path_name']}"
        sizes, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
        dtype = _EXPORT_DTYPES[meta["dtype"]]
        if entry.get("use_pickle"):
            content = io.BytesIO(archive.get_record(record))
            tensors[name] = torch.load(content, map_location="cpu", weights_only=True)
            continue
        flat = torch.frombuffer(bytearray(archive.get_record(record)), dtype=dtype)
        tensors[name] = flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"])
    return tensors


class _ScriptObject:
    """A module of a TorchScript program, reduced to its attributes."""

    attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _ScriptReader(pickle.Unpickler):
    def __init__(self, archive: Any) -> None:
        super().__init__(io.BytesIO(archive.get_record("data.pkl")))
        self._archive = archive

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _ScriptObject
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return allowed_global(module, name) or Stub

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, count = pid
        storage = self._archive.get_storage_from_record(f"data/{key}", count, dtype)
        untyped = storage._typed_storage()._untyped_storage
        return torch.storage.TypedStorage(  # type: ignore[no-untyped-call]  # torch's own
            wrap_storage=untyped, dtype=dtype, _internal=True
        )


def _torchscript(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a TorchScript program by the paths of their modules."""
    archive = torch._C.PyTorchFileReader(str(path))
    try:
        root = _ScriptReader(archive).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{path} cannot be read as TorchScript: {error}") from error
    found: dict[str, Tensor] = {}

    def walk(node: Any, prefix: str) -> None:
        for name, value in getattr(node, "attributes", {}).items():
            if isinstance(value, Tensor):
                found[prefix + name] = value
            elif isinstance(value, _ScriptObject):
                walk(value, f"{prefix}{name}.")

    walk(root, "")
    return found
