"""Files that are native code to whoever loads them: read only where they are root's or the running user's own.

TensorRT's plans and timing caches are such files. It knows owner and mode, and how such a file is written; it does not
know what is in it.
"""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING

from edgezsl.errors import EngineError, InputError, Place
from edgezsl.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN = "a plan"
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_NOT_OURS_TO_GIVE = 0o022  # what the mask must hold


def read_trusted(path: Path, command: str, *, max_bytes: int, what: str = PLAN) -> bytes:
    """Return the bytes of a file that belongs to root or the running user, and that its owner alone may write.

    Args:
        path: The file; a symbolic link is not followed. Its folder is `check_trusted` before.
        command: What to type where it is refused.
        max_bytes: The cap.
        what: What the file is, such as `a plan`.

    Raises:
        EngineError: When somebody else could have written it, or it cannot be read.
    """
    check_trusted(path, command, what=what)  # before it is opened: a link or a pipe has its own sentence
    try:
        return read_regular(
            path,
            max_bytes=max_bytes,
            error=InputError,
            follow=False,
            judge=lambda found: _judge(found, path, command, what=what, folder=False),
        )
    except InputError as fault:
        raise refused_plan(fault.message, "unreadable_plan", path, command, fault.expected) from fault


def check_trusted(path: Path, command: str, *, folder: bool = False, what: str = PLAN) -> None:
    """Check that a file, or a folder of such files, is root's or the running user's, and written by its owner alone.

    Args:
        path: The file or folder; a symbolic link is not followed.
        command: What to type where it is refused.
        folder: Whether it must be a folder.
        what: What the file is, such as `a plan`.

    Raises:
        EngineError: When it is something else, belongs to somebody else, or may be written by others.
    """
    try:
        found = path.lstat()
    except OSError as cause:
        raise refused_plan(f"this cannot be read ({cause.strerror})", "no_plan", path, command) from cause
    _judge(found, path, command, what=what, folder=folder)


def _judge(found: os.stat_result, path: Path, command: str, *, what: str, folder: bool) -> None:
    """Refuse what somebody else can have written; say what to type to have it anew."""
    why, anew = f"and {what} is native code", f"rm {quote(str(path))} && {command}"
    if not (stat.S_ISDIR(found.st_mode) if folder else stat.S_ISREG(found.st_mode)):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else f"not {'a folder' if folder else 'a regular file'}"
        expected = "a folder" if folder else "a regular file"
        raise refused_plan(f"this is {kind}, {why}", "untrusted_plan", path, anew, expected)
    if found.st_uid not in {0, os.geteuid()}:
        message = f"this belongs to {_name_of(found.st_uid)}, {why}"
        expected = "root or the running user" if os.geteuid() else "root"
        do = f"{command} --plans DIR, with a DIR of your own" if folder else anew
        raise refused_plan(message, "untrusted_plan", path, do, expected)
    if found.st_mode & _BY_OTHERS:
        who = "everybody" if found.st_mode & stat.S_IWOTH else "its group"
        message = f"this may be written by {who} (mode {stat.S_IMODE(found.st_mode):04o}), {why}"
        # Who could write a plan could write its sidecar: both are made anew.
        do = f"chmod go-w {quote(str(path))} && {command} --force" if what == PLAN else anew
        raise refused_plan(message, "untrusted_plan", path, do, "what only its owner may write")


@contextmanager
def written_by_us_alone() -> Iterator[None]:
    """Let what is made inside be written by its owner alone, whatever the user's own mask allows."""
    before = os.umask(_NOT_OURS_TO_GIVE)
    os.umask(before | _NOT_OURS_TO_GIVE)
    try:
        yield
    finally:
        os.umask(before)


def refused_plan(message: str, code: str, path: Path, command: str, expected: str | None = None) -> EngineError:
    """Return the error for a plan that is not used.

    Args:
        message: Why, as a clause.
        code: The code of the error.
        path: What it is about.
        command: What to type.
        expected: What would have been right.
    """
    return EngineError(message, code=code, where=Place(str(path)), expected=expected, hint=f"run: {command}")


def _name_of(user: int) -> str:
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user {user}"
