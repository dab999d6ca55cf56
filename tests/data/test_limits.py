"""Large, endless and lying files are answered before they are read or decoded."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens_lab import limits
from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.arrays import read_labels, read_map, read_size
from sapiens_lab.data.images import CorruptImageError, read_image


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size that its one row does not fill."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width + 1))
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("read", [read_image, read_labels, read_map, read_size])
def test_an_image_is_too_large_before_it_is_decoded(
    tmp_path: Path, read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(30_000, 30_000))
    with pytest.raises(ValueError, match=r"a\.png has 30000 x 30000 pixels.*limit_scale=4"):
        read(path)  # type: ignore[operator]


def test_one_setting_raises_all_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (30, 20), 7).save(path)
    monkeypatch.setattr(limits, "MAX_PIXELS", 500)
    with pytest.raises(CorruptImageError, match="20 x 30 pixels, more than 500;"):
        read_image(path)
    monkeypatch.setenv(limits.SCALE_VARIABLE, "2")
    assert read_image(path).shape == (20, 30, 3)
    assert read_labels(path).shape == (20, 30)


def test_pillows_own_limit_does_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "a.png"
    Image.new("L", (30, 20), 7).save(path)
    assert read_size(path) == (20, 30)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan"])
def test_a_scale_is_a_positive_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.SCALE_VARIABLE, text)
    with pytest.raises(ValueError, match=f"SAPIENS_LIMIT_SCALE={text}: give a positive number"):
        limits.limit_scale()


@pytest.mark.parametrize("scale", [0, -1.0, "many", True, float("nan")])
def test_the_key_is_checked_too(scale: object) -> None:
    with pytest.raises(ValueError, match=rf"limit_scale={scale}: give a positive number"):
        limits.set_limit_scale(scale)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".json"])
def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path, suffix: str) -> None:
    pipe, device, folder = (tmp_path / f"{name}{suffix}" for name in ("pipe", "device", "folder"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    folder.mkdir()
    for path in (pipe, device, folder):
        read = {".png": read_image, ".npy": read_map, ".json": read_json}[suffix]
        with pytest.raises(ValueError, match=rf"{path.name} is a .*not a file"):
            read(path)


def array(shape: object, kind: str = "<f4", content: bytes = b"") -> bytes:
    """Return a file of NumPy whose header says what it likes."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        array((1_000_000, 1_000_000)),
        array((4, 4), content=bytes(63)),
        array((-1, 4), content=bytes(64)),
        array("(1 << 60)", content=bytes(64)),
        array("'x'", content=bytes(64)),
        array((4,), "|O", bytes(64)),
        array((1 << 62, 1 << 62)),
        npz(),
        b"",
        b"\x93NUMPY\1\0\xff\xff{",
    ],
)
def test_arrays_that_lie(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npy is not an array that NumPy saved"):
        read_map(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (npz(), "it is an .npz whose first array is 'a'; save that one with numpy.save"),
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "it is a PNG image"),
        (b"1.0 2.0 3.0\n", "it is another kind of file"),
    ],
)
def test_what_is_no_array_is_called_by_its_kind(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=re.escape(f"a.npy is not an array that NumPy saved: {kind}")
    ):
        read_map(path)


def test_a_good_array_is_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6, dtype=np.float32).reshape(2, 3))
    values = read_map(path)
    assert type(values) is np.ndarray
    assert values.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_sparse_file_of_a_terabyte(tmp_path: Path) -> None:
    for name, read in (("a.npy", read_map), ("a.png", read_image), ("a.json", read_json)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(ValueError, match=rf"{name} takes 1099511627776 bytes, more than 1,073"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b'"\xff"', b"\xff\xfe{"]
)
def test_json_that_no_parser_survives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps([1]))
    assert read_json(tmp_path / "a.json") == [1]
