"""Finds the catalogues, `devices/` and `export/`, and reads one entry as plain values.

It knows where entries lie (inside the wheel, else in the checkout) and that each is one YAML mapping without aliases,
tags or a key twice. It does not know what a board or a recipe is: their own modules read the fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgezsl.errors import InputError, Place, shown

if TYPE_CHECKING:
    import yaml

Kind = Literal["devices", "export"]

LARGEST_ENTRY = 64 * 1024  # bytes
DEEPEST = 16  # mappings and lists inside each other
LONGEST_NUMBER = 32  # characters
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


def parse_entry(data: bytes, *, file: str, error: type[InputError]) -> dict[str, Any]:
    """Return the mapping that an entry holds; keys are text as written, values are plain YAML values.

    Args:
        data: The file's bytes.
        file: Its name, for errors.
        error: The error to raise.

    Raises:
        InputError: As `error`, when the bytes are too many, not UTF-8, not YAML, nested too deeply, not a mapping, or
            use an alias, an anchor, a tag or a key twice.
    """
    import yaml

    place = Place(file)
    if len(data) > LARGEST_ENTRY:
        raise error(f"the entry has {len(data)} bytes", code="too_large", where=place, expected=f"≤ {LARGEST_ENTRY}")
    try:
        text = data.decode()
        _check_tokens(text, place, error)
        loader = _loader_type()(text)
        value = _plain(loader.get_single_node(), loader, place, error)
    except UnicodeDecodeError as cause:
        raise error(f"this is not UTF-8 ({cause.reason})", code="not_yaml", where=place) from cause
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = Place(file, mark.line + 1 if mark else None)
        problem = getattr(cause, "problem", None) or getattr(cause, "reason", None) or "cannot be read"
        raise error(f"this is not YAML ({problem})", code="not_yaml", where=where) from cause
    if not isinstance(value, dict):
        raise error(f"{shown(value)} is no entry", code="wrong_type", where=place, expected="fields, `name: value`")
    return value


def _loader_type() -> type[yaml.SafeLoader]:
    # Eight times as fast where PyYAML was built with libyaml; every start of a stream reads the whole catalogue.
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_tokens(text: str, place: Place, error: type[InputError]) -> None:
    # Both checks run before anything is built: an alias turns a few lines into a structure of any size, and thousands
    # of opening brackets end libyaml's builder by a signal, or keep the one in Python busy for seconds.
    import yaml

    depth = 0
    for token in yaml.scan(text, Loader=_loader_type()):
        where = Place(place.file, token.start_mark.line + 1)
        if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
            message = f"{shown(token.value)} is an alias, an anchor or a tag"
            raise error(message, code="not_allowed", where=where, expected="plain values", hint="write the value out")
        name = type(token).__name__  # BlockMappingStartToken, FlowSequenceEndToken, BlockEndToken, ...
        if name.startswith(("Block", "Flow")):
            depth += name.endswith("StartToken") - name.endswith("EndToken")
        if depth > DEEPEST:
            raise error("the entry is nested too deeply", code="too_deep", where=where, expected=f"≤ {DEEPEST} levels")


def _plain(node: yaml.Node | None, loader: yaml.SafeLoader, place: Place, error: type[InputError]) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, loader, place, error) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, loader, place, error)
    if not isinstance(node, yaml.MappingNode):
        return None
    found: dict[str, Any] = {}
    for key, value in node.value:
        where = Place(place.file, key.start_mark.line + 1)
        if not isinstance(key, yaml.ScalarNode):
            raise error("a key is not text", code="wrong_type", where=where, expected="a field's name")
        if key.value in found:
            raise error(f"the key {shown(key.value)} stands twice", code="duplicate_key", where=where)
        found[key.value] = _plain(value, loader, place, error)
    return found


def _scalar(node: yaml.ScalarNode, loader: yaml.SafeLoader, place: Place, error: type[InputError]) -> Any:
    where = Place(place.file, node.start_mark.line + 1)
    if node.tag.endswith((":int", ":float")) and len(node.value) > LONGEST_NUMBER:
        message = f"the number {shown(node.value)} has {len(node.value)} characters"
        raise error(message, code="wrong_type", where=where, expected=f"≤ {LONGEST_NUMBER}")
    try:
        value = loader.construct_object(node)
        if isinstance(value, str):
            value.encode()  # an escape can write half of a surrogate pair, which no terminal or file can show
    except ValueError as cause:  # also the date 2024-13-45, the number 0x_
        raise error(f"{shown(node.value)} cannot be read ({cause})", code="wrong_type", where=where) from cause
    return value
