"""Settings of a method in a file: one flat JSON object, as `edgezsl search --out` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.errors import InputError, Place, shown
from edgezsl.files import prepare_place, read_regular, write_durably
from edgezsl.records import canonical_json, parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from edgezsl.zsl.space import Settings

_LARGEST = 1 << 20  # bytes


def write_settings(path: Path, settings: Settings) -> None:
    """Write settings as a flat JSON object.

    Raises:
        InputError: When the file cannot be written.
    """
    try:
        write_durably(path, canonical_json(settings) + b"\n")
    except OSError as cause:
        raise _unwritable(path, cause) from cause


def prepare_settings(path: Path) -> None:
    """Check, before anybody waits for a search, that its settings can be written. Folders are made.

    Raises:
        InputError: When the file cannot be written.
    """
    try:
        prepare_place(path)
    except OSError as cause:
        raise _unwritable(path, cause) from cause


def read_settings(path: Path) -> Settings:
    """Read settings from a flat JSON object, or from what `edgezsl search --json` printed.

    Raises:
        InputError: When the file cannot be read, or holds anything but numbers, words and flags by name.
    """
    data = read_regular(path, max_bytes=_LARGEST, error=InputError)
    found = parse_json(data, file=str(path), error=InputError, max_bytes=_LARGEST)
    if isinstance(found, dict) and isinstance(found.get("settings"), dict):
        found = found["settings"]
    if not isinstance(found, dict) or not all(isinstance(value, int | float | str) for value in found.values()):
        raise InputError(
            f"these are no settings: {shown(found)}",
            code="bad_setting",
            where=Place(str(path)),
            expected='one object of numbers, words and flags, such as {"gamma": 1.0}',
        )
    return found


def _unwritable(path: Path, cause: OSError) -> InputError:
    message = f"the settings cannot be written ({cause.strerror})"
    return InputError(message, code="not_writable", where=Place(str(path)), hint="check the folder and its owner")
