"""Reading a file that somebody else may have put there, and writing one that must survive a power cut."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from pathlib import Path


def read_regular(path: Path, *, max_bytes: int, error: type[InputError], follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    A FIFO or a device cannot block the caller, and no more than `max_bytes` are ever read, however the file grows.

    Args:
        path: The file.
        max_bytes: The cap.
        error: The error to raise.
        follow: Whether `path` may be a symbolic link.

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
        raise error("the path holds a NUL character", code="not_found", where=Place(repr(str(path)))) from cause
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise error("this is not a regular file", code="not_a_file", where=place, expected="a regular file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise error(f"the file has more than {max_bytes} bytes", code="too_large", where=place)
    return data


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that after a crash or power cut the file is the old one or the new one, whole.

    Written beside the target, flushed to the disk, renamed over it, and the folder flushed
    (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, section 4).

    Raises:
        OSError: When the disk is full, the folder is absent or not writable; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _cannot_open(cause: OSError, place: Place, error: type[InputError]) -> InputError:
    if cause.errno in {errno.ENOENT, errno.ENOTDIR}:
        return error("there is no such file", code="not_found", where=place, hint="check the path")
    if cause.errno in {errno.EACCES, errno.EPERM}:
        return error("the file may not be read", code="not_readable", where=place, hint="check owner and mode")
    if cause.errno == errno.ELOOP:
        return error("this is a symbolic link", code="not_a_file", where=place, expected="a regular file")
    return error(f"the file cannot be opened ({cause.strerror})", code="not_readable", where=place)
