"""Files that pretend to be weights and mean harm; each is one way to run code or to exhaust memory.

``python -m tests.security.hostile_weights FOLDER`` writes them all.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.security.pickles import (
    call,
    doubled,
    get,
    group,
    integer,
    name,
    put,
    storage,
    tensor,
    text,
    whole,
)
from tests.security.zips import Entry, write_zip, zeros_deflated

FLOATS = struct.pack("<4f", 1, 2, 3, 4)


@dataclass(frozen=True)
class Case:
    """A file and whether it must be refused; the others are read, and what they ask is not done."""

    write: Callable[[Path, Path], None]  # (file, folder in which it would leave a trace)
    is_refused: bool = True


def records(pickled: bytes, *more: Entry, folder: str = "a") -> list[Entry]:
    """Return the records of ``torch.save``."""
    return [
        Entry(name=f"{folder}/data.pkl", content=pickled),
        Entry(name=f"{folder}/byteorder", content=b"little"),
        Entry(name=f"{folder}/data/0", content=FLOATS),
        Entry(name=f"{folder}/version", content=b"3\n"),
        *more,
    ]


def saved(value: bytes, *, is_refused: bool = True, is_whole: bool = False) -> Case:
    """Return a file of ``torch.save`` with this value in it."""

    def write(path: Path, trace: Path) -> None:
        marked = value.replace(text("TRACE"), text(str(trace / path.name)))
        pickled = marked if is_whole else whole(marked)
        write_zip(path, records(pickled))

    return Case(write, is_refused)


def running(module: str, attribute: str, *arguments: str) -> Case:
    """Return a file whose pickle calls a function of the standard library."""

    def write(path: Path, trace: Path) -> None:
        words = [text(word.replace("TRACE", str(trace / path.name))) for word in arguments]
        write_zip(path, records(whole(call(module, attribute, *words))))

    return Case(write, is_refused=False)


def zipped(*entries: Entry, **options: Any) -> Case:
    """Return an archive of these records."""
    return Case(lambda path, trace: write_zip(path, entries, **options))


def plain(content: bytes, *, is_refused: bool = True) -> Case:
    """Return a file of these bytes."""

    def write(path: Path, trace: Path) -> None:
        path.write_bytes(content)

    return Case(write, is_refused)


def code_cases() -> dict[str, Case]:
    """Return files that call something."""
    make = "open({!r}, 'w').close()".format("TRACE")
    return {
        "os_system": running("os", "system", "touch TRACE"),
        "posix_mkdir": running("posix", "mkdir", "TRACE"),
        "exec": running("builtins", "exec", make),
        "eval": running("__builtin__", "eval", make),
        "popen": running("subprocess", "getoutput", "touch TRACE"),
        "path_touch": running("pathlib", "Path.touch", "TRACE"),
        "own_function": running("sapiens_lab.atomic", "write_text", "TRACE", "x"),
        "torch_hub": running("torch.hub", "load", "TRACE"),
        "torch_from_file": running("torch", "from_file", "TRACE"),
        "torch_load": running("torch", "load", "TRACE"),
        "torch_load_from_bytes": running("torch.storage", "_load_from_bytes", "TRACE"),
        "torch_jit_load": running("torch.jit", "load", "TRACE"),
        "numpy_tofile": running("numpy.core.multiarray", "_reconstruct", "TRACE"),
        "getattr_chain": saved(
            call("builtins", "getattr", name("os", "path"), text("os")) + b")R", is_refused=False
        ),
        "stack_global": saved(
            text("os") + text("mkdir") + b"\x93" + group(text("TRACE")) + b"R", is_refused=False
        ),
        "newobj": saved(name("os", "mkdir") + group(text("TRACE")) + b"\x81", is_refused=False),
        "newobj_ex": saved(
            name("os", "mkdir")
            + group(text("TRACE"))
            + b"}"
            + text("mode")
            + b"Ks\x92".replace(b"Ks", b"K\x07s"),
            is_refused=False,
        ),
        "rebuild_from_type": saved(
            call(
                "torch._tensor",
                "_rebuild_from_type_v2",
                name("os", "mkdir"),
                b"N",
                group(text("TRACE")),
                b"N",
            ),
            is_refused=False,
        ),
        "state_of_a_class": saved(name("os", "path") + b"}" + text("sep") + text("x") + b"sb"),
        "state_of_a_list": saved(b"]}b"),
        "inst": saved(b"(" + text("TRACE") + b"ios\nmkdir\n"),
        "obj": saved(b"(" + name("os", "mkdir") + text("TRACE") + b"o"),
        "extension_registry": saved(b"\x82\x01"),
        "text_protocol": saved(b"cos\nmkdir\n(S'TRACE'\ntR.", is_whole=True),
        "text_persistent_id": saved(b"Pos.mkdir\n"),
        "buffers": saved(b"\x97\x98"),
        "calls_a_string": saved(text("os.mkdir") + group(text("TRACE")) + b"R"),
        "script_class_without_code": saved(
            name("__torch__.os", "M") + b")\x81}" + text("w") + b"Nsb", is_refused=False
        ),
        "script_case": Case(functools.partial(write_script, folder="CODE")),
        "script": Case(functools.partial(write_script, folder="code"), is_refused=False),
        "script_pickle": Case(write_script_pickle, is_refused=False),
        "package": zipped(
            Entry(name="a/.data/extern_modules", content=b"os\n"),
            Entry(name="a/m.py", content=b"import os; os.mkdir('TRACE')"),
        ),
        "old_pickle": Case(functools.partial(write_old, hostile=True), is_refused=False),
        "bare_pickle": Case(lambda path, trace: write_bare(path, trace)),
        "export_pickle": Case(write_export_pickle, is_refused=False),
    }


def growth_cases() -> dict[str, Case]:
    """Return pickles that ask for much."""
    many = b"](" + b"N" * 60_000 + b"e" + put(0)
    long = text("x" * 1_000_000) + put(0)
    return {
        "memo_index": saved(b"N" + put(0xFFFFFFFE), is_refused=False),
        "text_of_4_eb": saved(b"\x8d" + struct.pack("<Q", 1 << 62)),
        "text_of_4_gb": saved(b"X" + struct.pack("<I", 0xFFFFFFFF)),
        "bytes_of_4_gb": saved(b"B" + struct.pack("<I", 0xFFFFFFFF)),
        "bytes_of_1_tb": saved(b"\x8e" + struct.pack("<Q", 1 << 40)),
        "bytearray_of_1_tb": saved(b"\x96" + struct.pack("<Q", 1 << 40)),
        "frame_of_1_eb": saved(b"\x95" + struct.pack("<Q", 1 << 60)),
        "integer_of_5_mb": saved(b"\x8b" + struct.pack("<i", 5_000_000) + bytes(5_000_000)),
        "integer_of_negative_size": saved(b"\x8b" + struct.pack("<i", -1)),
        "laughs_of_tuples": saved(doubled(60, "tuple")),
        "laughs_of_lists": saved(doubled(60, "list")),
        "laughs_in_key": saved(b"}" + doubled(40, "tuple") + b"Ns"),
        "holds_itself": saved(b"]" + put(0) + get(0) + b"a"),
        "state_dict_holds_itself": saved(
            b"\x80\x02}" + put(0) + text("state_dict") + get(0) + b"s.", is_whole=True
        ),
        "deep_tuples": saved(b")" + b"\x85" * 500_000),
        "deep_lists": saved(b"]" * 300_000 + b"a" * 299_999),
        "deep_key": saved(b"}" + b")" + b"\x85" * 300_000 + b"Ns"),
        "deep_calls": saved(
            name("torch._tensor", "_rebuild_from_type_v2") + put(0) + b")"
            + (put(1) + b"0(" + get(0) + b"N" + get(1) + b"Nt") * 50_000 + b"R"
        ),
        "colliding_keys": saved(
            b"}(" + b"".join(group(integer(i)) + b"N" for i in range(50_000)) + b"u"
        ),
        "colliding_integers": saved(
            b"}(" + b"".join(integer(i * ((1 << 61) - 1)) + b"N" for i in range(50_000)) + b"u"
        ),
        "steps": saved(b"N0" * 5_000_000),
        "sets": saved(b"](" + b"\x8f" * 5_000_000 + b"e"),
        "marks": saved(b"(" * 5_000_000),
        "one_list_many_dicts": saved(
            b"](" + group(text("k"), b"N") * 1000 + b"e" + put(0)
            + (call("collections", "OrderedDict", get(0)) + b"0") * 20_000 + b"N"
        ),
        "one_list_many_sets": saved(many + (call("builtins", "set", get(0)) + b"0") * 20_000),
        "one_text_many_bytes": saved(
            b"](" + long + call("_codecs", "encode", get(0), text("latin1")) * 20_000 + b"e"
        ),
        "one_list_many_sizes": saved(many + (call("torch", "Size", get(0)) + b"0") * 20_000),
        "one_dict_many_counters": saved(
            b"}(" + b"".join(integer(i) + b"N" for i in range(60_000)) + b"u" + put(0)
            + (call("collections", "Counter", get(0)) + b"0") * 20_000
        ),
        "list_as_key": saved(b"}]Ns"),
        "tensor_as_key": saved(b"}" + tensor([4], [1]) + b"Ns"),
        "set_of_lists": saved(b"\x8f(]\x90"),
        "ends_early": saved(b"}(", is_whole=False),
        "takes_what_is_not_there": saved(b"\x80\x02000000.", is_whole=True),
        "no_mark": saved(b"\x80\x02Nt.", is_whole=True),
    }  # fmt: skip


def tensor_cases() -> dict[str, Case]:
    """Return tensors that do not lie within their bytes."""
    wide = 2_000_000_000
    return {
        "stride_0_of_8_gb": saved(tensor([wide], [0])),
        "stride_0_twice": saved(tensor([1 << 20, 1 << 20], [0, 0])),
        "many_repeats": saved(
            b"](" + tensor([4_000_000], [0]) * 200 + b"e"
        ),
        "size_2_62": saved(tensor([1 << 62], [1])),
        "size_that_overflows": saved(tensor([1 << 32, 1 << 32], [1, 1])),
        "negative_size": saved(tensor([-4], [1])),
        "negative_stride": saved(tensor([4], [-1], 3)),
        "negative_offset": saved(tensor([2], [1], -1)),
        "offset_beyond": saved(tensor([2], [1], 3)),
        "offset_far_beyond": saved(tensor([1], [1], 1 << 61)),
        "stride_beyond": saved(tensor([2], [1000])),
        "empty_with_a_huge_size": saved(tensor([0, 1 << 61, 1 << 61], [1, 1, 1])),
        "a_thousand_dimensions": saved(tensor([1] * 1000, [1] * 1000)),
        "sizes_without_strides": saved(tensor([2, 2], [1])),
        "numbers_beyond_the_record": saved(tensor([4], [1], stored=storage(count=1 << 40))),
        "negative_count": saved(tensor([4], [1], stored=storage(count=-1))),
        "wider_numbers": saved(tensor([4], [1], stored=storage(kind="DoubleStorage"))),
        "quantized": saved(tensor([4], [1], stored=storage(kind="QInt8Storage", count=16))),
        "unknown_storage": saved(tensor([4], [1], stored=storage(kind="EvilStorage"))),
        "no_such_record": saved(tensor([4], [1], stored=storage(key="7"))),
        "record_outside": saved(tensor([4], [1], stored=storage(key="../../../etc/passwd"))),
        "record_absolute": saved(tensor([4], [1], stored=storage(key="/etc/passwd"))),
        "storage_of_text": saved(text("storage") + b"Q"),
        "size_of_text": saved(
            call("torch._utils", "_rebuild_tensor_v2", storage(), b"K\0", text("ab"), text("cd"))
        ),
        "sparse": saved(call("torch._utils", "_rebuild_sparse_tensor", b"N", b"N")),
        "parameter_of_nothing": saved(call("torch._utils", "_rebuild_parameter")),
        "device": saved(call("torch", "device", text("../../x"))),
    }  # fmt: skip


def archive_cases() -> dict[str, Case]:
    """Return zip archives that two readers would see differently, and those that grow."""
    good = whole(tensor([4], [1]))
    base = records(good)
    other = Entry(name="a/data.pkl", content=whole(b"N"))
    bomb = zeros_deflated(4000)
    size = 4000 << 20

    def with_entry(**options: Any) -> Case:
        return zipped(*base, Entry(**{"name": "a/data/1", "content": FLOATS, **options}))

    return {
        "bomb": zipped(
            Entry(name="a/data.pkl", content=bomb, method=8, full_size=size), *base[1:]
        ),
        "bomb_that_lies": zipped(
            Entry(name="a/data.pkl", content=bomb, method=8, full_size=100), *base[1:]
        ),
        "bomb_of_64_mb": zipped(
            Entry(
                name="a/data.pkl", content=zeros_deflated(64), method=8, full_size=64 << 20,
                crc=zlib.crc32(bytes(64 << 20)),
            ),
            *base[1:],
        ),
        "tensor_bomb": zipped(
            *base[:2], Entry(name="a/data/0", content=bomb, method=8, full_size=size)
        ),
        "byteorder_bomb": zipped(
            base[0], Entry(name="a/byteorder", content=bomb, method=8, full_size=size)
        ),
        "duplicate": zipped(*base, other),
        "differs_by_case": zipped(*base, Entry(name="a/DATA.pkl", content=b"x")),
        "differs_by_case_beyond_ascii": zipped(
            *base, Entry(name="a/data/ß"), Entry(name="a/data/ẞ")
        ),
        "absolute": with_entry(name="/etc/passwd"),
        "upward": with_entry(name="a/../../b"),
        "drive": with_entry(name="c:/data"),
        "backslash": with_entry(name="a\\data\\1"),
        "nul_in_name": with_entry(name="a/data.pkl\0.txt"),
        "empty_name": with_entry(name=""),
        "link": with_entry(attributes=0o120777 << 16),
        "device_node": with_entry(attributes=0o020666 << 16),
        "encrypted": with_entry(flags=1),
        "masked": with_entry(flags=1 << 13),
        "lzma": with_entry(method=14),
        "unknown_method": with_entry(method=99),
        "two_names": with_entry(local_name="a/data.pkl"),
        "unicode_name": with_entry(extra=struct.pack("<HHBL", 0x7075, 5, 1, 0)),
        "two_sizes": with_entry(extra=struct.pack("<HHQ", 1, 8, 16) * 2),
        "size_in_no_extra_field": with_entry(size=0xFFFFFFFF),
        "size_beyond": with_entry(size=1 << 30),
        "sizes_that_differ": with_entry(full_size=1 << 30),
        "folder_with_content": with_entry(name="a/data/"),
        "overlap": zipped(*base, Entry(name="a/data/1", content=FLOATS, header=0)),
        "header_beyond": zipped(*base, Entry(name="a/data/1", header=1 << 30)),
        "header_in_a_record": zipped(*base, Entry(name="a/data/1", content=FLOATS, header=40)),
        "wrong_sum": zipped(base[0], base[1], Entry(name="a/data/0", content=FLOATS, crc=7)),
        "wrong_sum_of_pickle": zipped(Entry(name="a/data.pkl", content=good, crc=7), *base[1:]),
        "begins_later": zipped(*base, before=b"PK" + bytes(30)),
        "comment": zipped(*base, comment=b"PK\5\6" + bytes(18)),
        "count_of_65535": zipped(*base, count=65535),
        "table_elsewhere": zipped(*base, start=3),
        "false_locator": zipped(*base, locator=struct.pack("<4sLQL", b"PK\6\7", 0, 1 << 60, 1)),
        "huge_zip64_count": zipped(
            *base,
            locator=struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *[1 << 60] * 4)
            + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1),
        ),
        "strange_record": with_entry(name="a/run.sh"),
        "two_roots": with_entry(name="b/data/1"),
        "no_pickle": zipped(*base[1:]),
        "only_the_end": plain(b"PK\5\6" + bytes(18)),
        "many_records": zipped(*[Entry(name=f"a/data/{i}") for i in range(60_000)]),
    }  # fmt: skip


def export_cases() -> dict[str, Case]:
    """Return archives of ``torch.export`` and safetensors with tables that lie."""
    return {
        "export_of_4_eb": exported(sizes=[1 << 60]),
        "export_stride_0": exported(sizes=[wide_size()], strides=[0]),
        "export_negative": exported(sizes=[-4]),
        "export_text_size": exported(sizes=["4"]),
        "export_unknown_dtype": exported(dtype=99),
        "export_record_outside": exported(path_name="../../../../etc/passwd"),
        "export_without_meta": exported(tensor_meta=None),
        "export_deep_table": exported_raw(b"[" * 200_000),
        "export_large_table": exported_raw(b"[" + b"[]," * 4_000_000 + b"[]]"),
        "export_long_number": exported_raw(b'{"config": ' + b"9" * 1_000_000 + b"}"),
        "export_in_itself": Case(write_nested),
        "safetensors_table_of_8_eb": plain(struct.pack("<Q", 1 << 63) + b"{" + bytes(100)),
        "safetensors_large_table": tensors_of(b'{"a":' + b" " * 9_000_000 + b"}"),
        "safetensors_deep_table": tensors_of(b'{"a":' + b"[" * 100_000),
        "safetensors_size_2_60": described(shape=[1 << 60]),
        "safetensors_overlap": described(data_offsets=[0, 8]),
        "safetensors_beyond": described(data_offsets=[0, 1 << 40]),
        "safetensors_backwards": described(data_offsets=[16, 0]),
        "safetensors_unknown_dtype": described(dtype="EVIL"),
    }


def old_cases() -> dict[str, Case]:
    """Return files in the layout of torch before 1.6, and what is no file at all."""
    return {
        "old_count_2_62": Case(functools.partial(write_old, count=1 << 62)),
        "old_negative_count": Case(functools.partial(write_old, count=-1)),
        "old_other_keys": Case(functools.partial(write_old, keys=["9"])),
        "old_keys_of_lists": Case(functools.partial(write_old, keys=[["0"]])),
        "old_no_keys": Case(functools.partial(write_old, keys=None)),
        "pipe": Case(lambda path, trace: os.mkfifo(path)),
        "endless_device": Case(lambda path, trace: path.symlink_to("/dev/zero")),
        "terminal": Case(lambda path, trace: path.symlink_to("/dev/tty")),
        "folder": Case(lambda path, trace: path.mkdir()),
        "dangling_link": Case(lambda path, trace: path.symlink_to("/nowhere")),
        "large_sparse_file": Case(lambda path, trace: write_sparse(path, 1 << 40)),
        "sparse_pickle": Case(lambda path, trace: write_sparse(path, 1 << 36, b"\x80\x02")),
    }


@functools.cache
def cases() -> dict[str, Case]:
    """Return all of them by name."""
    return {
        **code_cases(), **growth_cases(), **tensor_cases(), **archive_cases(), **export_cases(),
        **old_cases(),
    }  # fmt: skip


def wide_size() -> int:
    """Return a number of float32 that take 8 GB."""
    return 2_000_000_000


def exported_raw(table: bytes) -> Case:
    """Return an archive of ``torch.export`` with this table."""
    return zipped(
        Entry(name="a/archive_format", content=b"pt2"),
        Entry(name="a/data/weights/weight_0", content=FLOATS),
        Entry(name="a/data/weights/model_weights_config.json", content=table),
    )


def exported(path_name: str = "weight_0", **changes: Any) -> Case:
    """Return an archive of ``torch.export`` with one tensor, described otherwise than it is."""
    sizes, strides = changes.pop("sizes", [4]), changes.pop("strides", [1])
    meta: Any = {
        "dtype": changes.pop("dtype", 7),
        "sizes": [{"as_int": n} for n in sizes],
        "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": 0},
    }
    entry = {"path_name": path_name, "use_pickle": False, "tensor_meta": meta, **changes}
    return exported_raw(json.dumps({"config": {"w": entry}}).encode())


def tensors_of(table: bytes) -> Case:
    """Return a file of safetensors with this table."""
    return plain(struct.pack("<Q", len(table)) + table + FLOATS)


def described(**changes: Any) -> Case:
    """Return a file of safetensors with one tensor, described otherwise than it is."""
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}
    return tensors_of(json.dumps({"a": entry}).encode())


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def write_bare(path: Path, trace: Path) -> None:
    """Write a pickle that is nothing else."""
    path.write_bytes(pickle.dumps(Payload(trace / path.name), protocol=2))


def write_old(
    path: Path, trace: Path, *, count: int = 4, keys: Any = ("0",), hostile: bool = False
) -> None:
    """Write a file of ``torch.save`` before 1.6."""
    value = tensor([4], [1], stored=storage_with_view())
    if hostile:
        value = b"](" + value + call("os", "mkdir", text(str(trace / path.name))) + b"e"
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    content = b"".join(pickle.dumps(head, protocol=2) for head in heads) + whole(value)
    content += pickle.dumps(list(keys) if keys is not None else None, protocol=2)
    path.write_bytes(content + struct.pack("<q", count) + FLOATS)


def storage_with_view() -> bytes:
    """Push a storage as the old layout names it."""
    kind = name("torch", "FloatStorage")
    return group(text("storage"), kind, text("0"), text("cpu"), integer(4), b"N") + b"Q"


def write_script(path: Path, trace: Path, *, folder: str) -> None:
    """Write a TorchScript program that writes a file as soon as torch loads it."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(4))

        @torch.jit.export
        def __getstate__(self) -> tuple[torch.Tensor, bool]:
            return (self.w, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            self.w = state[0] + torch.from_file("TRACE", True, 4).fill_(0.0)
            self.training = state[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.w

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        torch.jit.save(torch.jit.script(Module()), buffer)
    target = str(trace / path.name).encode()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as file:
        for item in source.infolist():
            if not item.filename.endswith("debug_pkl"):
                content = source.read(item).replace(b"TRACE", target)
                file.writestr(item.filename.replace("/code/", f"/{folder}/"), content)


def write_script_pickle(path: Path, trace: Path) -> None:
    """Write a TorchScript archive whose pickle calls a function."""
    evil = pickle.dumps(Payload(trace / path.name), protocol=2)
    write_zip(path, records(evil, Entry(name="a/code/__torch__.py", content=b"")))


def write_export_pickle(path: Path, trace: Path) -> None:
    """Write an archive of ``torch.export`` one of whose tensors is a pickle that calls."""
    inner = path.with_suffix(".inner")
    evil = call("os", "mkdir", text(str(trace / path.name)))
    write_zip(inner, records(whole(evil)))
    table = {"config": {"w": {"path_name": "w", "use_pickle": True, "tensor_meta": {}}}}
    entries = [
        Entry(name="a/data/weights/w", content=inner.read_bytes()),
        Entry(name="a/data/weights/model_weights_config.json", content=json.dumps(table).encode()),
    ]
    inner.unlink()
    write_zip(path, entries)


def write_nested(path: Path, trace: Path) -> None:
    """Write an archive of the old ``torch.export`` that holds itself 2000 times."""
    content = b"x"
    for _ in range(2000):
        write_zip(path, [Entry(name="serialized_state_dict.pt", content=content)])
        content = path.read_bytes()


def write_sparse(path: Path, size: int, start: bytes = b"") -> None:
    """Write a file of zeros that takes no room."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


def write_all(folder: Path, trace: Path) -> dict[str, Case]:
    """Write every file as ``folder/NAME.pth`` and return the cases."""
    found = cases()
    for label, case in found.items():
        case.write(folder / f"{label}.pth", trace)
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    print(len(write_all(target, target)), "files")
