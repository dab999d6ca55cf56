"""Every container of weights, told apart by content, and nothing in it executed."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sapiens_lab.weights.archives import read_content


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
    ],
)
def test_what_is_no_weights_is_recognized(tmp_path: Path, content: bytes, answer: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=answer) as caught:
        read_content(path)
    assert "file.pth" in str(caught.value)


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
