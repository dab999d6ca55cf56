"""Every container of weights, told apart by content, and nothing in it executed."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sapiens_lab.weights.reading import Stub, read_content, stub_names


class Network(nn.Module):
    """Nested modules, a buffer, a shared tensor."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.head = nn.Linear(4, 2)
        self.register_buffer("mean", torch.full((3,), 7.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(x) * self.mean[0])
        return out


def write(kind: str, path: Path, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = Network().eval().to(dtype)
    state = model.state_dict()
    example = (torch.randn(1, 4, dtype=dtype),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        if kind == "torchscript":
            torch.jit.trace(model, example).save(str(path))
        elif kind == "export":
            torch.export.save(torch.export.export(model, example), path)
        elif kind == "old export":
            buffer = io.BytesIO()
            torch.save(state, buffer)
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("version", "5.1")
                file.writestr("serialized_exported_program.json", "{}")
                file.writestr("serialized_state_dict.pt", buffer.getvalue())
        elif kind == "safetensors":
            save_file(state, path)
        else:
            torch.save(state, path, _use_new_zipfile_serialization=kind != "old pth")
    return state


KINDS = ["torchscript", "export", "old export", "safetensors", "pth", "old pth"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_tensors(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    path = tmp_path / "weights.bin"  # the suffix says nothing
    expected = write(kind, path, dtype)
    found = read_content(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "half.pth"
    write(kind, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"half\.pth.*again"):
        read_content(path)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\x00" * 300, "again"),
        (pickle.dumps([1, 2]), "a pickle that torch.save did not write"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (bytes(257) + b"ustar" + bytes(300), "tar archive"),
    ],
)
def test_what_is_no_weights_is_recognized(tmp_path: Path, content: bytes, answer: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=answer) as caught:
        read_content(path)
    assert "file.pth" in str(caught.value)


def full_content() -> dict[str, Any]:
    """Return what the checkpoints of torch and Lightning hold, one of a kind."""
    table = torch.arange(24.0).reshape(4, 6)
    return {
        "turned": table.t(), "row": table[1], "repeated": torch.ones(1, 3).expand(5, 3),
        "complex": torch.ones(2, dtype=torch.complex64) * 1j, "scalar": torch.tensor(3),
        "bool": torch.tensor([True, False]), "empty": torch.zeros(0, 3),
        "half": torch.rand(3).half(), "uint16": torch.ones(5).to(torch.uint16),
        "size": torch.Size([1, 2]), "dtype": torch.bfloat16, "device": torch.device("cuda:1"),
        "set": {1, 2}, "frozenset": frozenset({"a"}), "bytes": b"abc\xff", "none": None,
        "bytearray": bytearray(b"xx"), "number": 1 + 2j, "large": 1 << 70, "negative": -5,
        "float": 1.5, "tuple": (1, (2, 3, 4, 5)), "ordered": OrderedDict([("a", 1)]),
        "text": "ü😀" * 200, "count": Counter("aab"), "keys": {("a", 1): 2, 1: 2, None: 4},
    }  # fmt: skip


@pytest.mark.parametrize("is_mapped", [True, False])
@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_everything_that_torch_saves_comes_back(
    tmp_path: Path, protocol: int, new_format: bool, is_mapped: bool
) -> None:
    path, content = tmp_path / "all.pth", full_content()
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new_format)
    found = read_content(path, is_mapped=is_mapped)
    assert set(found) == set(content)
    for name, value in content.items():
        assert type(found[name]) is type(value), name
        if isinstance(value, Tensor):
            assert found[name].stride() == value.stride()
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)
        else:
            assert found[name] == value
    shared = [found[name].untyped_storage().data_ptr() for name in ("turned", "row")]
    assert shared[0] == shared[1]


def test_versions_of_modules_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(nn.BatchNorm2d(2).state_dict(), path)
    assert read_content(path)._metadata[""]["version"] == 2


def test_a_mapped_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(4)}, path)
    before = path.read_bytes()
    read_content(path)["a"].fill_(1.0)
    assert path.read_bytes() == before


def test_copies_outlive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.ones(4)}, path)
    found = read_content(path, is_mapped=False)
    path.write_bytes(bytes(path.stat().st_size))
    assert found["a"].tolist() == [1.0] * 4


def test_numbers_of_the_other_byte_order_are_turned(tmp_path: Path) -> None:
    path, turned = tmp_path / "a.pth", tmp_path / "b.pth"
    values = {"a": torch.tensor([1.0, 2.5]), "b": torch.tensor([1, 300]), "c": torch.tensor([2j])}
    torch.save(values, path)
    widths = {"data/0": 4, "data/1": 8, "data/2": 4}
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(turned, "w") as target:
        for item in source.infolist():
            content, name = source.read(item), item.filename.split("/", 1)[1]
            if name == "byteorder":
                content = b"big"
            if width := widths.get(name):
                content = np.frombuffer(content, f"u{width}").byteswap().tobytes()
            target.writestr(item, content)
    found = read_content(turned)
    assert all(torch.equal(found[name], value) for name, value in values.items())


@pytest.mark.parametrize("with_sums", [True, False])
def test_a_flipped_bit_is_found_where_the_file_has_checksums(
    tmp_path: Path, with_sums: bool
) -> None:
    path = tmp_path / "a.pth"
    torch.serialization.set_crc32_options(with_sums)
    try:
        torch.save({"a": torch.full((1000,), 7.0)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((4,), 7.0).numpy().tobytes()) + 99] ^= 4
    path.write_bytes(content)
    if with_sums:
        with pytest.raises(ValueError, match=r"a\.pth.*checksum of its record 'a/data/0'"):
            read_content(path)
    else:
        assert read_content(path)["a"].shape == (1000,)


def test_export_of_torch_2_8_is_read(tmp_path: Path) -> None:
    path, buffer = tmp_path / "a.pt2", io.BytesIO()
    torch.save({"a": torch.ones(3)}, buffer)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/archive_format", "pt2")
        file.writestr("a/data/weights/model.pt", buffer.getvalue())
        file.writestr("a/models/model.json", "{}")
    assert torch.equal(read_content(path)["a"], torch.ones(3))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # on its way out of torch
@pytest.mark.parametrize("kind", ["quantized", "sparse", "conjugated", "meta"])
def test_tensors_of_rare_kinds_are_refused_in_words(tmp_path: Path, kind: str) -> None:
    if kind == "quantized":
        value = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    elif kind == "sparse":
        value = torch.ones(2, 2).to_sparse()
    elif kind == "conjugated":
        value = torch.ones(2, dtype=torch.complex64).conj()
    else:
        value = torch.ones(2, device="meta")
    torch.save({"a": value}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=rf"a\.pth is not read: .*{kind}"):
        read_content(tmp_path / "a.pth")


def test_unknown_objects_become_stubs_that_say_their_names(tmp_path: Path) -> None:
    torch.save({"a": [Payload(tmp_path)], "b": np.ones(2)}, tmp_path / "a.pth")
    content = read_content(tmp_path / "a.pth")
    assert isinstance(content["b"], Stub)
    assert "posix.mkdir" in stub_names(content)


class Payload:
    """Would make a folder, if a reader did what the pickle says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_that_runs_code_does_not_run(tmp_path: Path, new_format: bool) -> None:
    marker, path = tmp_path / "made", tmp_path / "evil.pth"
    torch.save(
        {"state_dict": {"a": torch.ones(2)}, "meta": Payload(marker)},
        path,
        _use_new_zipfile_serialization=new_format,
    )
    content = read_content(path)
    assert not marker.exists()
    torch.testing.assert_close(content["state_dict"]["a"], torch.ones(2))


def test_a_torchscript_archive_whose_pickle_was_replaced_runs_nothing(tmp_path: Path) -> None:
    path, evil, marker = tmp_path / "a.pt2", tmp_path / "b.pt2", tmp_path / "made"
    write("torchscript", path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith("/data.pkl"):
                content = pickle.dumps(Payload(marker), protocol=2)
            target.writestr(item, content)
    assert read_content(evil) == {}
    assert not marker.exists()


@pytest.mark.parametrize("start", [b"\x80", b"PK"])
def test_a_table_of_tensors_may_have_any_size(tmp_path: Path, start: bytes) -> None:
    """Its size begins the file and may look like the beginning of a pickle or an archive."""
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2)}, path, metadata={"note": ""})
    shortest = int.from_bytes(path.read_bytes()[:8], "little")
    wanted = int.from_bytes(start, "little")
    save_file({"weight": torch.ones(2)}, path, metadata={"note": "x" * (wanted - shortest)})
    assert path.read_bytes().startswith(start)
    assert read_content(path)["weight"].tolist() == [1, 1]
