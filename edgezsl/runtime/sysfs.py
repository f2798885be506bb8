"""What Linux says of itself in small files: a text, a number, or nothing. What cannot be read is never an error."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgezsl.device import read_head
from edgezsl.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_VALUE = 128  # bytes
PAGE = 4096  # bytes: no file of sysfs gives more


def read_text(path: Path, *, max_bytes: int = _LONGEST_VALUE) -> str:
    """Return the text of a file without what must not reach a terminal, or an empty one.

    Args:
        path: The file.
        max_bytes: As much of it as is read.
    """
    text = read_head(path, max_bytes=max_bytes).decode("utf-8", "replace")
    return printable(text, keep="\n\t").strip()


def read_number(path: Path) -> int | None:
    """Return the number that a file holds, in the file's own unit, or None where it holds none."""
    with contextlib.suppress(ValueError):
        return int(read_text(path))
    return None
