"""An `.npz` that a person gives: opened so that a wrong path and a wrong kind of file are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zipfile import is_zipfile

import numpy as np

from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.lib.npyio import NpzFile


def open_arrays(path: Path, *, hint: str = "check the path") -> NpzFile:
    """Return the arrays of an `.npz`, each read when it is asked for; close it. Python objects are not loaded.

    Args:
        path: The file.
        hint: What to do where there is none.

    Raises:
        InputError: When there is no such file.
        OSError: When it cannot be read.
        ValueError: When it is no `.npz`; numpy would take it for a pickle, and give advice that is unsafe.
    """
    try:
        with path.open("rb") as file:
            packed = is_zipfile(file)
    except (FileNotFoundError, NotADirectoryError) as cause:
        message = "there is no such file"
        raise InputError(message, code="not_found", where=Place(str(path)), hint=hint) from cause
    if not packed:
        raise ValueError("it is not an .npz file")
    found: NpzFile = np.load(path, allow_pickle=False)
    return found
