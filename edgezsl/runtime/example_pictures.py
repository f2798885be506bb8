"""Example pictures of a class: found inside the class file's folder, whatever their paths say, and read one by one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.errors import ClassFileError, SourceError, shown
from edgezsl.runtime.sources import read_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.classes import ClassEntry

_SAVE_AGAIN = "save it again, as JPEG or PNG of at most 8192 x 8192 pixels"  # what the child decodes


def example_pictures(entry: ClassEntry, folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of a class, RGB uint8 `(H, W, 3)`: one in memory at a time, as 64 large ones would not fit.

    Args:
        entry: The class.
        folder: Where the class file lies.

    Raises:
        ClassFileError: When a path leads nowhere or out of the folder, before any picture is read; when a picture cannot be read.
    """
    for name, path in [(name, _inside(name, folder, entry)) for name in entry.examples]:
        yield _picture(name, path, entry)


def _inside(name: str, folder: Path, entry: ClassEntry) -> Path:
    """Return the path of an example picture, which must lie below the class file's folder, links resolved."""
    where = entry.at("examples")
    try:
        root, path = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / name))
        present = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        present = False
    except (OSError, ValueError) as cause:  # a name too long, a loop of links, a NUL
        raise ClassFileError(
            f"the path {shown(name)} of a picture leads nowhere",
            code="bad_path",
            where=where,
            hint="check the name, and the links on the way",
        ) from cause
    if Path(name).is_absolute() or not path.is_relative_to(root):
        raise ClassFileError(
            f"the picture {shown(name)} lies outside the class file's folder",
            code="outside_folder",
            where=where,
            expected="a path relative to the class file, inside its folder",
            hint="copy the picture there",
        )
    if not present:
        raise ClassFileError(
            f"there is no picture {shown(name)}",
            code="not_found",
            where=where,
            expected=f"a file below {shown(str(folder))}",
            hint="check the path",
        )
    return path


def _picture(name: str, path: Path, entry: ClassEntry) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except SourceError as fault:
        message = f"the picture {shown(name)} cannot be read: {fault.message}"
        hint = _SAVE_AGAIN if fault.code in {"not_an_image", "empty_file"} else fault.hint
        raise ClassFileError(message, code=fault.code, where=entry.at("examples"), hint=hint) from fault
