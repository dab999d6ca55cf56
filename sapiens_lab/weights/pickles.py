"""Reading pickled checkpoints without running what they say.

A pickle may call any function. This reader builds tensors and plain containers; every other class
or function that a file names becomes a ``Stub``, which swallows what it is called with.
"""

from __future__ import annotations

import pickle
import types
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
    ("torch", "device"): torch.device,
}
_DTYPES = {
    str(v).removeprefix("torch."): v for v in vars(torch).values() if isinstance(v, torch.dtype)
}


class Stub(dict[Any, Any]):
    """Stands for an object of a class that is not known: config, array, logger."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Ignore the object's state."""

    def append(self, item: Any) -> None:
        """Ignore a list's item."""

    def extend(self, items: Any) -> None:
        """Ignore a list's items."""

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        """Stand for the result too."""
        return self


def allowed_global(module: str, name: str) -> Any:
    """Return what a pickle may name: builders of tensors, dtypes; ``None`` for all else."""
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    return _ALLOWED.get((module, name))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (found := allowed_global(module, name)) is not None:
            return found
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return getattr(torch, name, None) or getattr(torch.storage, name, Stub)
        return Stub


def load_pickled(path: Path) -> Any:
    """Return the content of a ``.pth``, with stubs for what is neither tensor nor container.

    Raises:
        ValueError: the file is truncated or not a checkpoint; names it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch muses about old pickle protocols
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError):
            return _load_with_stubs(path)


def _load_with_stubs(path: Path) -> Any:
    reader = types.ModuleType("stubbing_pickle")  # torch wants a module with these two names
    reader.Unpickler = _Unpickler  # type: ignore[attr-defined]
    reader.load = lambda file, **options: _Unpickler(file, **options).load()  # type: ignore[attr-defined]
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({path.stat().st_size} bytes): it is "
            "truncated, damaged or of another kind; download or copy it again"
        ) from error


def _is_zip(path: Path) -> bool:
    """Memory mapping works for the zip format of torch >= 1.6 only."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
