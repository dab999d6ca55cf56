"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sapiens_lab import atomic

MB = 10**6


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_new_file_and_its_folder_appear_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    with atomic.replacing(path) as file:
        file.write(b"first")
        assert Path(file.name).parent == path.parent, "a rename must not cross file systems"
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert names(path.parent) == ["b.json"]


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "x", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"old")
    (tmp_path / "private").chmod(0o600)
    (tmp_path / "link").symlink_to("private")
    atomic.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "private").read_bytes() == b"new"
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_whatever_interrupts_leaves_the_old_content_alone(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with atomic.replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_missing_room_is_stated_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(atomic.WriteError, match=r"x cannot be written: .* needed and its disk has "
                       r".* free, so .* are missing") as caught:  # fmt: skip
        atomic.check_room(path, 10**18)
    assert caught.value.errno == errno.ENOSPC


LIMITED = """
import resource, sys
from pathlib import Path
from sapiens_lab import atomic

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    with atomic.replacing(Path(sys.argv[1]), expected_bytes=int(sys.argv[2])) as file:
        for _ in range(30):
            file.write(bytes(100_000))
except atomic.WriteError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (3 * MB, "so 2.0 MB are missing"),
        (0, "after 1.0 MB; at least"),
    ],
)
def test_a_write_that_fails_says_what_is_missing(
    tmp_path: Path, expected: int, message: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", LIMITED, str(path), str(expected)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{path} cannot be written" in result.stdout
    assert message in result.stdout
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_no_permission_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object) -> None:  # root may write everywhere
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(atomic.WriteError, match=r"x cannot be written: permission denied"):
        atomic.write_text(tmp_path / "x", "x")


def test_a_folder_a_device_and_a_file_in_place_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, Path("/dev/null"), tmp_path / "file" / "x"):
        with pytest.raises(
            atomic.WriteError, match=r"cannot be written: (it is|not a|file exists)"
        ):
            atomic.write_text(path, "x")


def test_an_error_about_another_file_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(PermissionError) as raised, atomic.replacing(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "no", "/another/source.jpg")
    assert raised.value.filename == "/another/source.jpg"
    assert names(tmp_path) == []


def test_one_of_several_creates(tmp_path: Path) -> None:
    atomic.create(tmp_path / "x", b"first")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert names(tmp_path) == ["x"]


def test_creating_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    atomic.create(tmp_path / "x", b"first")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert names(tmp_path) == ["x"]


def test_appending_adds_whole_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    atomic.append(path, b"one\n")
    atomic.append(path, b"two\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(atomic.WriteError, match="no room left"):
            atomic.append(path, b"three\n")
    assert path.read_bytes().startswith(b"one\ntwo\n")


def test_left_overs_are_removed_and_files_in_work_are_not(tmp_path: Path) -> None:
    killed = "import os, sys; from pathlib import Path; from sapiens_lab import atomic\n"
    killed += "with atomic.replacing(Path(sys.argv[1])) as f: f.write(b'x'); f.flush(); os._exit(0)"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "x")], check=True)
    assert len(names(tmp_path)) == 1
    with atomic.replacing(tmp_path / "y") as file:
        assert atomic.remove_leftovers(tmp_path) == 1
        file.write(b"whole")
    assert names(tmp_path) == ["y"]
    assert (tmp_path / "y").read_bytes() == b"whole"
