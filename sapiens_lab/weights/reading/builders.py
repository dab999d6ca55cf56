"""What the pickles of torch may build: tensors within their storages, and plain containers."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sapiens_lab.weights.reading.machine import Builder, Machine
from sapiens_lab.weights.reading.source import DamagedError, RefusedError

# A tensor may name its numbers more than once (``expand``), but a small file may not become a
# large one: one tensor within its storage or this, all of them within 8 times their storages.
_FREE_BYTES = 16 << 20
MAX_REPEATS = 8
_MAX_DIMENSIONS = 64  # torch's own

_DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}
_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
}  # fmt: skip
_REFUSED = {
    "_rebuild_qtensor": "quantized", "_rebuild_sparse_tensor": "sparse",
    "_rebuild_sparse_csr_tensor": "sparse", "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "meta", "_rebuild_xla_tensor": "XLA",
    "_rebuild_device_tensor_from_numpy": "device",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storage:
    """The bytes of one or several tensors."""

    content: torch.UntypedStorage
    dtype: torch.dtype

    @classmethod
    def empty(cls, dtype: torch.dtype) -> Storage:
        """Return one without bytes."""
        return cls(torch.empty(0, dtype=dtype).untyped_storage(), dtype)


@dataclass(slots=True)
class Budget:
    """How many bytes of tensors the rest of a file may name."""

    left: int = _FREE_BYTES


def constant(module: str, name: str) -> Any:
    """Return the dtype or the type of storage that a name stands for, or nothing.

    Raises:
        RefusedError: it is a type of quantized tensors.
    """
    if module.split(".")[0] == "torch" and re.match(r"qu?int\d", name.lower()):
        raise RefusedError("it holds quantized tensors, which are not read: dequantize them")
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    if module in ("torch", "torch.storage", "torch.cuda") and name.endswith("Storage"):
        return Storage.empty(_STORAGES[name]) if name in _STORAGES else None
    return None


def make_tensor(
    storage: Storage,
    dtype: torch.dtype,
    offset: Any,
    size: Sequence[Any],
    stride: Sequence[Any],
    budget: Budget,
) -> Tensor:
    """Return a view of a storage.

    Raises:
        DamagedError: it would end beyond the storage.
        RefusedError: it names more numbers than the storage holds, or is of a rare kind.
    """
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        raise DamagedError("a tensor's size and stride contradict each other")
    numbers = [offset, *size, *stride]
    if any(type(number) is not int or not 0 <= number < 1 << 62 for number in numbers):
        raise DamagedError("a tensor's size or stride is no whole number from 0 on")
    count, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        count *= length
        last += (length - 1) * step
    held = storage.content.nbytes() // dtype.itemsize
    if count and last >= held:
        raise DamagedError(f"a tensor of {tuple(size)} ends beyond its {held} stored numbers")
    budget.left -= count * dtype.itemsize
    if count * dtype.itemsize > max(storage.content.nbytes(), _FREE_BYTES) or budget.left < 0:
        raise RefusedError(f"a tensor of {tuple(size)} repeats its {held} stored numbers")
    if not count:
        return torch.empty(tuple(size), dtype=dtype)
    empty = torch.empty(0, dtype=dtype)
    return empty.set_(storage.content, offset, tuple(size), tuple(stride))


def builders(budget: Budget | None) -> dict[tuple[str, str], Builder]:
    """Return what is done for every name that torch's pickles use.

    Args:
        budget: of the file; storages add to it, tensors take from it. Without one, no tensors are
            made.
    """

    def tensor(machine: Machine, arguments: tuple[Any, ...]) -> Any:
        if budget is None:
            return None
        storage, offset, size, stride, *rest = arguments
        if not isinstance(storage, Storage):
            raise DamagedError("its pickle makes a tensor of what is no storage")
        metadata, dtype = rest[2:], storage.dtype
        if metadata and isinstance(metadata[0], torch.dtype):  # _rebuild_tensor_v3
            dtype, metadata = metadata[0], metadata[1:]
        if metadata and metadata[0]:
            raise RefusedError("it holds conjugated or negated views, which are not read")
        return make_tensor(storage, dtype, offset, size, stride, budget)

    def tensor_with_attributes(machine: Machine, arguments: tuple[Any, ...]) -> Any:
        return machine.call(arguments[0], arguments[2])

    table: dict[tuple[str, str], Builder] = {
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_tensor_v3"): tensor,
        ("torch._utils", "_rebuild_parameter"): _first,
        ("torch._utils", "_rebuild_parameter_with_state"): _first,
        ("torch._tensor", "_rebuild_from_type_v2"): tensor_with_attributes,
        ("torch.serialization", "_get_layout"): _layout,
        ("torch", "Size"): _size,
        ("torch", "device"): _device,
        ("collections", "OrderedDict"): _ordered,
        ("collections", "Counter"): _counter,
        ("collections", "defaultdict"): lambda machine, arguments: {},
        ("_codecs", "encode"): _bytes,
        ("torch.jit._pickle", "restore_type_tag"): _first,
    }
    for name in ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist"):
        table["torch.jit._pickle", name] = _first
    for name, kind in _REFUSED.items():
        table["torch._utils", name] = _refusing(kind)
    for module in ("builtins", "__builtin__"):
        table[module, "set"] = lambda machine, arguments: set(_keys(machine, arguments))
        table[module, "frozenset"] = lambda machine, arguments: frozenset(_keys(machine, arguments))
        table[module, "bytearray"] = lambda machine, arguments: bytearray(
            _bytes(machine, arguments)
        )
        table[module, "bytes"] = _bytes
        table[module, "complex"] = _complex
    return table


def _first(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


def _refusing(kind: str) -> Builder:
    def refuse(machine: Machine, arguments: tuple[Any, ...]) -> Any:
        raise RefusedError(f"it holds {kind} tensors, which are not read: save dense ones")

    return refuse


def _layout(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    if arguments != ("torch.strided",):
        raise RefusedError("it holds sparse tensors, which are not read: save dense ones")
    return torch.strided


def _size(machine: Machine, arguments: tuple[Any, ...]) -> torch.Size:
    (numbers,) = arguments
    machine.charge(len(numbers))
    if any(type(number) is not int or not 0 <= number < 1 << 62 for number in numbers):
        raise DamagedError("its pickle has a torch.Size that is none")
    return torch.Size(numbers)


def _device(machine: Machine, arguments: tuple[Any, ...]) -> torch.device:
    name = ":".join(str(part) for part in arguments)
    if not re.fullmatch(r"(cpu|cuda|mps|meta|xpu|hpu|xla)(:\d{1,3})?", name):
        raise DamagedError(f"its pickle names an unknown device {name[:40]!r}")
    return torch.device(name)


def _ordered(machine: Machine, arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    pairs = list(arguments[0]) if arguments else []
    machine.charge(len(pairs))
    ordered: OrderedDict[Any, Any] = OrderedDict()
    machine.add_items(ordered, [item for key, value in pairs for item in (key, value)])
    return ordered


def _counter(machine: Machine, arguments: tuple[Any, ...]) -> Counter[Any]:
    content = arguments[0] if arguments else {}
    if not isinstance(content, dict):
        raise DamagedError("its pickle counts what is no dict")
    machine.charge(len(content))
    return Counter(content)


def _keys(machine: Machine, arguments: tuple[Any, ...]) -> list[Any]:
    items = arguments[0] if arguments else []
    if not isinstance(items, (list, tuple)):
        raise DamagedError("its pickle makes a set of what is no list")
    machine.charge(len(items))
    return [machine.check_key(item) for item in items]


def _bytes(machine: Machine, arguments: tuple[Any, ...]) -> bytes:
    """Return bytes, which protocol 2 writes as text of their numbers."""
    content = arguments[0] if arguments else b""
    if not isinstance(content, (str, bytes)):
        raise DamagedError("its pickle makes bytes of what is no text")
    machine.charge(len(content) // 64)
    return content if isinstance(content, bytes) else content.encode("latin-1")


def _complex(machine: Machine, arguments: tuple[Any, ...]) -> complex:
    real, imaginary = arguments
    if not all(isinstance(part, (int, float)) for part in arguments):
        raise DamagedError("its pickle has a complex number that is none")
    return complex(real, imaginary)
