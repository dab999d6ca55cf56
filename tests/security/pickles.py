"""Pickles written opcode by opcode, so that they can ask for anything."""

from __future__ import annotations

import struct


def text(value: str) -> bytes:
    """Push a string."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    """Push an integer."""
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(module: str, attribute: str) -> bytes:
    """Push a class or function."""
    return f"c{module}\n{attribute}\n".encode()


def group(*items: bytes) -> bytes:
    """Push a tuple."""
    return b"(" + b"".join(items) + b"t"


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    """Push what a function returns."""
    return name(module, attribute) + group(*arguments) + b"R"


def put(index: int) -> bytes:
    """Remember what is on top."""
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    """Push what was remembered."""
    return b"j" + struct.pack("<I", index)


def whole(value: bytes) -> bytes:
    """Return a pickle of the dict ``{"state_dict": {"a": value}}``."""
    return b"\x80\x02}" + text("state_dict") + b"}" + text("a") + value + b"ss."


def storage(key: str = "0", kind: str = "FloatStorage", count: int = 4) -> bytes:
    """Push the bytes of a record."""
    kind_ = name("torch", kind)
    return group(text("storage"), kind_, text(key), text("cpu"), integer(count)) + b"Q"


def tensor(
    size: list[int], stride: list[int], offset: int = 0, *, stored: bytes | None = None
) -> bytes:
    """Push a tensor."""
    return call(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage() if stored is None else stored,
        integer(offset),
        group(*map(integer, size)),
        group(*map(integer, stride)),
        b"\x89",
        call("collections", "OrderedDict"),
    )


def doubled(levels: int, kind: str) -> bytes:
    """Push a container that holds one twice that holds one twice, and so on."""
    start, one = {"tuple": (b")", b"\x86"), "list": (b"]", b"")}[kind]
    parts = [start, put(0)]
    for level in range(levels):
        pair = get(level) + get(level)
        parts += [b"0", pair + one if one else b"](" + pair + b"e", put(level + 1)]
    return b"".join(parts)
