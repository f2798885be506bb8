"""Reading a file that somebody else may have put there, and writing one that must survive a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_BLOCK = 8 << 20  # bytes hashed at once, outside Python's lock: whatever is loaded meanwhile is held up this seldom


def read_regular(
    path: Path,
    *,
    max_bytes: int,
    error: type[InputError],
    follow: bool = True,
    judge: Callable[[os.stat_result], None] | None = None,
) -> bytes:
    """Return the bytes of a regular file.

    A FIFO or a device cannot block the caller, and no more than `max_bytes` are ever read, however the file grows.

    Args:
        path: The file.
        max_bytes: The cap.
        error: The error to raise.
        follow: Whether `path` may be a symbolic link.
        judge: Looks at owner and mode of what was opened, and raises where it is not to be read.

    Raises:
        InputError: As `error`, when the file is absent, unreadable, not a regular file, or too large.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    place = Place(str(path))
    try:
        descriptor = os.open(path, flags)
    except OSError as cause:
        raise _cannot_open(cause, place, error) from cause
    except ValueError as cause:
        raise error(f"this cannot be a path ({cause})", code="not_found", where=Place(repr(str(path)))) from cause
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
            raise error(f"this is {kind}", code="not_a_file", where=place, expected="a regular file")
        if judge is not None:
            judge(found)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            # `read(n)` allocates n bytes first: asking for the cap at once would need gigabytes for a small file.
            data = file.read(min(found.st_size, max_bytes) + 1)
            if len(data) > found.st_size:  # it has grown, or lies in /proc
                data += file.read(max_bytes + 1 - len(data))
    except OSError as cause:
        raise _cannot_open(cause, place, error) from cause
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        got, most = f"at least {len(data)} bytes", f"at most {max_bytes} bytes"
        raise error("the file is too large", code="too_large", where=place, got=got, expected=most)
    return data


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        OSError: When it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_durably(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Put `data` at `path` so that after a crash or power cut the file is the old one or the new one, whole.

    Written beside the target, flushed to the disk, renamed over it, and the folder flushed
    (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, section 4).

    Args:
        path: Where.
        data: What.
        mode: Who may read and write it, less what the user's mask takes away; from the first byte on.

    Raises:
        OSError: When the disk is full, the folder is absent or not writable; the old file is then untouched.
    """
    temporary = sibling(path, "part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    flush_folder(path.parent)


def prepare_place(path: Path) -> None:
    """Make the folder of a file that is to be written, and try to write there: before anybody waits for what it will hold.

    Raises:
        OSError: When it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    path.open("ab").close()
    if new:
        path.unlink()


def sibling(path: Path, ending: str) -> Path:
    """Return a hidden path beside `path` that no other process, thread or earlier crash has used.

    Raises:
        OSError: When `path` has no name of its own, as `/` and `.` have none.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.{ending}")


def flush_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that a rename in it survives a power cut.

    Raises:
        OSError: When it cannot be flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_open(cause: OSError, place: Place, error: type[InputError]) -> InputError:
    if cause.errno in {errno.ENOENT, errno.ENOTDIR}:
        return error("there is no such file", code="not_found", where=place, hint="check the path")
    if cause.errno in {errno.EACCES, errno.EPERM}:
        return error("the file may not be read", code="not_readable", where=place, hint="check owner and mode")
    if cause.errno == errno.ELOOP:
        return error("this is a symbolic link", code="not_a_file", where=place, expected="a regular file")
    return error(f"the file cannot be read ({cause.strerror})", code="not_readable", where=place)
