"""Finds the catalogues, `devices/` and `export/`, and reads one entry as plain values.

It knows where entries lie (inside the wheel, else in the checkout) and that each is one YAML mapping without aliases,
tags or a key twice. It does not know what a board or a recipe is: their own modules read the fields.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from edgezsl.errors import ClassFileError, InputError, Place, shown
from edgezsl.files import read_regular
from edgezsl.strict_yaml import Mapping, Node, Scalar, Sequence, YamlLimits, parse_yaml

Kind = Literal["devices", "export"]

LARGEST_ENTRY = 64 * 1024  # bytes
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,14})")
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")
_PACKAGE = Path(__file__).parent


def catalogue_folder(kind: Kind, *, package: Path = _PACKAGE) -> Path:
    """Return the folder that holds the entries of one catalogue.

    Args:
        kind: Which catalogue.
        package: The folder of the package `edgezsl`.

    Raises:
        InputError: When neither the wheel nor a checkout around the package has it.
    """
    places = (package / "_catalogue" / kind, package.parent / kind)
    for folder in places:
        if folder.is_dir():
            return folder
    raise InputError(
        f"the catalogue {kind!r} is missing from this installation of edgezsl",
        code="catalogue_missing",
        where=Place(str(places[0])),
        expected=f"a folder there or at {places[1]}",
        hint="install edgezsl again",
    )


def entries(kind: Kind, *, package: Path = _PACKAGE) -> tuple[Path, ...]:
    """Return the files of one catalogue, sorted by name; none where a version ships no recipes yet.

    Args:
        kind: Which catalogue.
        package: The folder of the package `edgezsl`.

    Raises:
        InputError: When the catalogue of devices is missing: without it no board has a profile.
    """
    try:
        folder = catalogue_folder(kind, package=package)
    except InputError:
        if kind == "devices":
            raise
        return ()
    return tuple(sorted(path for path in folder.glob("*.yaml") if path.is_file()))


def builtin_folder(kind: Literal["bundle", "model"], *, package: Path = _PACKAGE) -> Path:
    """Return the folder of the model that comes with edgezsl: as a bundle to run, or as a model to export.

    Args:
        kind: Which of the two.
        package: The folder of the package `edgezsl`.

    Raises:
        InputError: When this installation carries none.
    """
    folder = package / "builtin" / kind
    if not folder.is_dir():
        raise InputError(
            f"no {kind} was given, and this installation of edgezsl carries none",
            code=f"no_{kind}",
            where=Place(str(folder)),
            expected=f"the folder of a {kind}",
            hint=f"give the folder of the {kind} that you mean, or install a version that comes with one",
        )
    return folder


def load_entry(
    kind: Kind, name_or_path: str | Path, *, called: str, code: str, error: type[InputError]
) -> tuple[dict[str, Any], Path]:
    """Return the mapping of an entry by its name, or of one that the user wrote by its path; and its file.

    Args:
        kind: Which catalogue.
        name_or_path: A name, or a path: a `Path`, or a string with a `/` or the ending `.yaml`.
        called: What an entry is called, for errors.
        code: Of the error for a name that is not in the catalogue.
        error: The error to raise.

    Raises:
        InputError: As `error`, when there is no such entry or it breaks the form of one; as itself, when the catalogue
            of devices is missing.
    """
    if isinstance(name_or_path, Path) or "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    else:
        known = {entry.stem: entry for entry in entries(kind)}
        if name_or_path not in known:
            raise error(
                f"there is no {called} {shown(name_or_path)}",
                code=code,
                expected=", ".join(get_close_matches(name_or_path, known) or known) or f"an entry in {kind}/",
                hint=f"take one of these, or give the path of a {called} of your own",
            )
        path = known[name_or_path]
    data = read_regular(path, max_bytes=LARGEST_ENTRY, error=error)
    return parse_entry(data, file=str(path), error=error), path


def parse_entry(data: bytes, *, file: str, error: type[InputError]) -> dict[str, Any]:
    """Return the mapping that an entry holds: plain scalars as numbers, true, false or null, everything else as text.

    Args:
        data: The file's bytes.
        file: Its name, for errors.
        error: The error to raise.

    Raises:
        InputError: As `error`, when the bytes are too many, not UTF-8, not YAML, nested too deeply, not a mapping, or
            use an alias, an anchor, a tag or a key twice.
    """
    try:
        root = parse_yaml(data, file=file, limits=YamlLimits(bytes=LARGEST_ENTRY))
    except ClassFileError as fault:  # the subset is that of class files; the file is another
        raise error(fault.message, code=fault.code, where=fault.where, expected=fault.expected) from fault
    if not isinstance(root, Mapping):
        found = f"the one word {shown(root.text)}" if isinstance(root, Scalar) else f"a list of {len(root.items)}"
        raise error(f"the file is {found}", code="wrong_type", where=Place(file), expected="fields, `name: value`")
    return {name: _value(node) for name, node in root.items.items()}


def _value(node: Node) -> Any:
    if isinstance(node, Sequence):
        return [_value(item) for item in node.items]
    if isinstance(node, Mapping):
        return {name: _value(item) for name, item in node.items.items()}
    if node.quoted:
        return node.text
    if node.text in _WORDS:
        return _WORDS[node.text]
    if _INTEGER.fullmatch(node.text):
        return int(node.text)
    return float(node.text) if _DECIMAL.fullmatch(node.text) else node.text
