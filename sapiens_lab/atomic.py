"""How the package writes files: whole or not at all, whatever ends the program or fills the disk.

Content goes into a temporary file beside its target, is flushed to the disk and then renamed, so
that a reader finds the old content or the new, never a part. The temporary file must not lie
elsewhere: a rename across file systems is a copy, which can break off.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl
    import resource

_PART = ".part"  # suffix of temporary files, whose names begin with a dot
_MARGIN = 1 << 16  # file systems keep some room for themselves [bytes]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class WriteError(OSError):
    """A file could not be written; the message names it, the reason and the remedy."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number


@contextlib.contextmanager
def replacing(
    path: Path, *, expected_bytes: int = 0, is_durable: bool = True
) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when it is whole.

    ``name`` of the file is its path, for writers that open files themselves.

    Args:
        path: of the file; its folder is made.
        expected_bytes: about how large it will be. The room is checked before, and stated should
            it run out.
        is_durable: wait until the content is on the disk (about 10 ms). Not needed for what is
            checked when it is read and can be made again.

    Raises:
        WriteError: there is no room or no permission; an earlier file of this path is unchanged.
    """
    if path.is_symlink():  # the link stays one
        path = path.resolve()
    part: IO[bytes] | None = None
    written = 0
    try:
        check_room(path, expected_bytes)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise WriteError(f"{path} cannot be written: it is a folder or a device")
        part = _open_part(path)
        with part:
            if path.exists():
                Path(part.name).chmod(stat.S_IMODE(path.stat().st_mode))
            yield part
            part.flush()
            written = os.fstat(part.fileno()).st_size
            if is_durable:
                os.fsync(part.fileno())
            Path(part.name).replace(path)
        if is_durable:
            _sync_folder(path.parent)
    except BaseException as error:
        if part is not None:
            with contextlib.suppress(OSError):
                written = max(written, Path(part.name).stat().st_size)
                Path(part.name).unlink()
        explained = _explain(error, path, expected_bytes, written)
        if explained is None:
            raise
        raise explained from error


def write_bytes(path: Path, data: bytes, *, is_durable: bool = True) -> None:
    """Write a file whole, as ``replacing`` does."""
    with replacing(path, expected_bytes=len(data), is_durable=is_durable) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, as ``replacing`` does."""
    write_bytes(path, text.encode())


def link_file(source: Path, path: Path) -> None:
    """Give a file a second name, in place of what had it; a copy where there are no hard links.

    Raises:
        WriteError: there is no room or no permission.
    """
    if path.exists() and path.samefile(source):
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        with (
            replacing(path, expected_bytes=source.stat().st_size) as file,
            source.open("rb") as old,
        ):
            shutil.copyfileobj(old, file)
    else:
        part.replace(path)


def create(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet; of several processes that try, one succeeds.

    Raises:
        FileExistsError: there is one.
        WriteError: as ``replacing``.
    """
    # Under a name of its own first: whoever sees the file sees it whole.
    own = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    write_bytes(own, data)
    try:
        os.link(own, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb") as file:
            file.write(data)
    finally:
        own.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """Add to a file; what cannot be added whole is taken back.

    Raises:
        WriteError: there is no room or no permission.
    """
    before = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            before = file.tell()
            try:
                file.write(data)
                file.flush()
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
            os.fsync(file.fileno())
    except OSError as error:
        raise _explain(error, path, len(data), 0) or error from error


def remove_leftovers(folder: Path) -> int:
    """Delete the temporary files of writers that were killed; return how many there were."""
    removed = 0
    for path in folder.glob(f".*{_PART}"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if lock(file.fileno()):  # its writer is gone
                path.unlink()
                removed += 1
    return removed


def check_room(path: Path, needed: int) -> None:
    """Check that a file of about this many bytes can be written.

    Raises:
        WriteError: it cannot; says how much room is missing.
    """
    if needed <= 0:
        return
    free = free_bytes(path)
    if needed > free:
        raise WriteError(
            f"{path} cannot be written: {size(needed)} are needed and its disk has {size(free)} "
            f"free, so {size(needed - free)} are missing. What was there before is unchanged",
            errno.ENOSPC,
        )
    limit = file_limit()
    if limit is not None and needed > limit:
        raise WriteError(
            f"{path} cannot be written: {size(needed)} are needed and a file may have "
            f"{size(limit)} here (`ulimit -f`), so {size(needed - limit)} are missing. What was "
            "there before is unchanged",
            errno.EFBIG,
        )


def free_bytes(path: Path) -> int:
    """Return how much room the disk of a file or folder, which need not exist, has for us."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return max(0, shutil.disk_usage(place).free - _MARGIN)


def size(num_bytes: float) -> str:
    """Return a size for people, e.g. ``1.2 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes:.0f} bytes"


def _open_part(path: Path) -> IO[bytes]:
    while True:
        # Not tempfile's: it gives the file to its owner alone, whatever the umask says.
        name = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}{_PART}")
        part = name.open("x+b")
        lock(part.fileno())
        if os.fstat(part.fileno()).st_nlink:
            return part
        part.close()  # taken for a leftover before it was locked


def lock(handle: int) -> bool:
    """Mark an open file or folder as in use until it is closed; return whether it was free."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk; not every file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_limit() -> int | None:
    """Return how large a file may be here (``ulimit -f``) [bytes]."""
    if sys.platform == "win32":
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _explain(error: BaseException, path: Path, expected: int, written: int) -> WriteError | None:
    """Return what to say of an error, or ``None`` where it is not about writing."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, WriteError) or _is_about_another(error, path):
        return None
    if number in FULL or (isinstance(error, Exception) and _is_full(path, expected, written)):
        missing = max(expected - written, 1)
        limit = "your quota or `ulimit -f`" if number != errno.ENOSPC else "its disk"
        return WriteError(
            f"{path} cannot be written: {limit} has no room left after {size(written)}; "
            f"at least {size(missing)} are missing. What was there before is unchanged",
            number or errno.ENOSPC,
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WriteError(
            f"{path} cannot be written: {os.strerror(number or 0).lower()}. Make its folder "
            "writable, or choose another one",
            number,
        )
    if number in (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ESTALE, errno.EIO):
        return WriteError(f"{path} cannot be written: {os.strerror(number or 0).lower()}", number)
    return None


def _is_about_another(error: BaseException, path: Path) -> bool:
    """Return whether an error names a file that has nothing to do with writing this one."""
    name = error.filename if isinstance(error, OSError) else None
    if not isinstance(name, str):
        return False
    return Path(name) not in (path, *path.parents) and Path(name).parent != path.parent


def _is_full(path: Path, expected: int, written: int) -> bool:
    """Return whether the rest of a file has no room: not every writer says what went wrong."""
    if expected <= written:
        return False
    limit = file_limit()
    return free_bytes(path) < expected - written or (limit is not None and expected > limit)
