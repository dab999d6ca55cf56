from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sapiens_lab.data.shards.tar_index import (
    CorruptArchiveError,
    build_index,
    load_index,
    read_entry,
)


def image(gray: int, side: int = 8) -> bytes:
    return cv2.imencode(".png", np.full((side, side, 3), gray, np.uint8))[1].tobytes()


def pack(path: Path, entries: dict[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_image_is_found_whatever_the_format(tmp_path: Path, form: int) -> None:
    long = "a" * 90 + "/" + "b" * 90 + ".png"
    names = ["0001.png", "x/ä.jpg", long]
    entries = {name: image(i) for i, name in enumerate(names)}
    others = {"0001.json": b"{}", "0001.cls": b"3", "x/._hidden.jpg": b"", "empty.txt": b""}
    path = pack(tmp_path / "a.tar", entries | others, form=form)
    rows = load_index(path)
    assert [read_entry(path, row) for row in rows] == list(entries.items())


def test_the_table_is_kept_and_made_anew_for_another_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.png": image(1)})
    assert len(load_index(path)) == 1
    table = tmp_path / "a.tar.index.npy"
    written = table.stat().st_mtime_ns
    assert len(load_index(path)) == 1
    assert table.stat().st_mtime_ns == written
    pack(path, {f"{i}.png": image(i, side=100) for i in range(20)})
    assert len(load_index(path)) == 20


def test_an_archive_changed_behind_its_table_is_noticed(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.png": image(1), "2.png": image(2)})
    rows = np.array(load_index(path))
    content = path.read_bytes()
    path.write_bytes(b"\1" * 512 + content[512:])
    with pytest.raises(CorruptArchiveError, match=r"has changed.*delete a.tar.index.npy"):
        read_entry(path, rows[0])
    path.write_bytes(content[:1000])
    with pytest.raises(CorruptArchiveError, match="has changed"):
        read_entry(path, rows[1])
    path.unlink()
    with pytest.raises(FileNotFoundError, match="cannot open the archive"):
        read_entry(path, rows[0])


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.72, 0.95])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = pack(tmp_path / "a.tar", {f"{i}.png": os.urandom(3000) for i in range(30)})
    with tarfile.open(path) as archive:
        whole = max(entry.offset_data + 3072 for entry in archive)
    path.write_bytes(path.read_bytes()[: int(kept * whole)])
    with pytest.raises(CorruptArchiveError, match=r"a\.tar"):
        build_index(path)


def test_an_archive_cut_off_between_two_entries_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {f"{i}.png": os.urandom(1000) for i in range(4)})
    path.write_bytes(path.read_bytes()[: 2 * (512 + 1024)])
    with pytest.raises(CorruptArchiveError, match="at byte 3072, after 2 images"):
        build_index(path)


def test_compressed_archives_and_other_files_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x.png"))
    (tmp_path / "b.tar").write_text("not an archive " * 100)
    (tmp_path / "c.tar").write_bytes(b"")
    for name in "abc":
        with pytest.raises(CorruptArchiveError, match=rf"{name}\.tar cannot be read as a tar"):
            build_index(tmp_path / f"{name}.tar")


def test_a_folder_that_cannot_be_written_to_sends_the_table_to_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.tar", {"1.png": image(1)})
    opened = Path.open

    def refuse(self: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if self.parent == tmp_path and set(mode) & set("wx"):
            raise PermissionError(self)
        return opened(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)  # root may write everywhere
    assert len(load_index(path)) == 1
    assert not (tmp_path / "a.tar.index.npy").exists()
    [table] = (cache / "shards").rglob("a.tar.index.npy")
    written = table.stat().st_mtime_ns
    assert len(load_index(path)) == 1
    assert table.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\5\6" + bytes(18),
        b"x" * 500,
        np.zeros((2, 3), np.float32),
        np.zeros((0, 3), np.int64),
        np.zeros(3, np.int64),
        np.array([[0, 512, 1 << 40], [-1, -1, -1]]),
        np.array([[-512, 0, 512], [-1, -1, -1]]),
        np.array([[1024, 512, 0], [-1, -1, -1]]),
        np.array([[0, 512, 1024], [-1, -1, -1]], object),
    ],
)
def test_a_table_that_does_not_fit_is_made_again(tmp_path: Path, content: Any) -> None:
    path = pack(tmp_path / "a.tar", {"a.jpg": b"x"})
    table = tmp_path / "a.tar.index.npy"
    if isinstance(content, np.ndarray):
        np.save(table, np.where(content == -1, path.stat().st_size, content), allow_pickle=True)
    else:
        table.write_bytes(content)
    rows = load_index(path)
    assert read_entry(path, rows[0]) == ("a.jpg", b"x")


def rewritten(path: Path, changes: dict[int, bytes]) -> Path:
    """Change bytes of the first header of an archive, and make its checksum right again."""
    content = bytearray(path.read_bytes())
    for place, new in changes.items():
        content[place : place + len(new)] = new
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    return path


SIZE, KIND, SPARSE, REAL_SIZE = 124, 156, 386, 483  # places in a header
RUN = b"%011o\0" % 0 + b"%011o\0" % 80


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({SIZE: b"77777777777\0"}, "cannot be read as a tar"),
        ({SIZE: b"\xff" * 12}, "is cut off or damaged at byte 512"),
        ({KIND: b"S", SPARSE: RUN, REAL_SIZE: b"%011o\0" % (1 << 30)}, r"1\.png is stored sparse"),
    ],
)
def test_headers_that_lie_are_refused(
    tmp_path: Path, changes: dict[int, bytes], message: str
) -> None:
    path = pack(tmp_path / "a.tar", {"1.png": image(1), "2.png": image(2)}, form=tarfile.GNU_FORMAT)
    with pytest.raises(CorruptArchiveError, match=message):
        load_index(rewritten(path, changes))


@pytest.mark.parametrize("size", ["99999999999999999999", "-5", "many"])
def test_sizes_of_extended_headers_are_not_believed(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("1.png")
        entry.size = len(image(1))
        entry.pax_headers = {"size": size}
        archive.addfile(entry, io.BytesIO(image(1)))
    with pytest.raises(CorruptArchiveError, match=r"a\.tar (cannot be read|is cut off)"):
        load_index(path)


def test_an_entry_that_swallows_the_next_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.png": image(1), "2.png": image(2)}, form=tarfile.GNU_FORMAT)
    rewritten(path, {SIZE: b"%011o\0" % (len(image(1)) + 1024)})
    [row] = load_index(path)
    with pytest.raises(CorruptArchiveError, match=r"a\.tar/1\.png reaches into the entry after it"):
        read_entry(path, row)


def test_links_and_devices_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(f"{number}.png")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    assert len(load_index(path)) == 0
