"""What a person writes in `classes.yaml`, read strictly: every refusal names file, line, field, what was found, what is allowed.

The format is docs/classes-file.md. This module knows no bundle: whether a kind of semantics or an attribute is offered
is decided where the classes are embedded. It imports neither numpy nor an engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edgezsl.errors import ClassFileError, Place, shown
from edgezsl.files import read_regular
from edgezsl.names import LONGEST_NAME, canonical_name, name_fault
from edgezsl.strict_yaml import Mapping, Node, Scalar, Sequence, YamlLimits, field_path, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingLike
    from pathlib import Path

Kind = Literal["words", "attributes", "examples", "vector"]

SLOT = "{}"
MOST_CLASSES = 100_000
MOST_TEXTS = 64  # synonyms, descriptions, parents or examples of a class
MOST_TEMPLATES = 128
LONGEST_TEXT = 2_000  # characters
LARGEST_FILE = YamlLimits().bytes
LARGEST_NUMBER = 1e30  # what a class pack takes: finite in float32
# No two parts can take the same digit: a long number that ends in a letter is refused in linear time.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INDEX = re.compile(r"[0-9]{1,9}")
_TOP_KEYS = ("templates", "reject", "seen_penalty", "classes")
_KIND_KEYS: dict[str, Kind] = {
    **dict.fromkeys(("synonyms", "descriptions", "parents"), "words"),
    "attributes": "attributes",
    "examples": "examples",
    "vector": "vector",
}
_CLASS_KEYS = ("name", *_KIND_KEYS, "threshold", "negative")
_LENGTH = 8  # bytes that a class pack begins with: how long its header is, which is JSON
_HINTS = {
    "bad_key": "number the names, as in names: {0: cat, 1: dog}",
    "bad_name": f"type it anew, in at most {LONGEST_NAME} visible characters",
    "bad_template": "put {} where the name goes, as in: a photo of a {}.",
    "duplicate_key": "keep one of the two",
    "empty": "write the text, or remove its line",
    "missing_key": "give the class a name, as in: - name: cat",
    "no_classes": "write a name on a line of its own, after a dash: - cat",
    "not_a_flag": "write true or false, in small letters",
    "not_a_number": "write it in digits, as in 0.25",
    "out_of_range": "change it, or remove the key",
    "too_long": "shorten it, or split it in two",
    "too_many": "keep the classes that the camera can meet",
    "two_kinds": "keep one of them, or make two classes",
    "wrong_type": "write it as docs/classes-file.md shows",
}


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class of a class file.

    Attributes:
        name: Its name, NFC and trimmed.
        place: Where it stands.
        kind: What it is given by; pictures beside words or attributes leave it theirs.
        synonyms: Other names, put through the templates like the name.
        descriptions: Texts embedded as they stand.
        parents: What it is a kind of, by id or by name, for a model with a graph of such things.
        attributes: Values of the attributes that are not 0.
        examples: Paths of pictures, relative to the class file.
        vector: A ready prototype.
        threshold: The least score at which it is decided on, or None.
        negative: Whether it absorbs, and is never reported.
        lines: The line of each field, for errors.
    """

    name: str
    place: Place
    kind: Kind = "words"
    synonyms: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    attributes: MappingLike[str, float] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    vector: tuple[float, ...] = ()
    threshold: float | None = None
    negative: bool = False
    lines: MappingLike[str, int] = field(default_factory=dict)

    def at(self, name: str, key: str | None = None) -> Place:
        """Return the place of the field `name` of this class, or of `key` inside it."""
        path = field_path(self.place.field or "", name)
        line = self.lines.get(name, self.place.line)
        return Place(self.place.file, line, path if key is None else field_path(path, key))


@dataclass(frozen=True, slots=True)
class ClassFile:
    """A parsed class file.

    Attributes:
        file: Its name.
        entries: Its classes, in order, with unique names.
        templates: Prompt templates, each with `{}` once, or None for the bundle's own.
        reject: The threshold of every class without one, or None.
        seen_penalty: γ ≥ 0, or None for the bundle's.
    """

    file: str
    entries: tuple[ClassEntry, ...]
    templates: tuple[str, ...] | None = None
    reject: float | None = None
    seen_penalty: float | None = None

    @classmethod
    def parse(cls, data: bytes, *, file: str, limits: YamlLimits | None = None) -> ClassFile:
        """Read a class file from its bytes.

        Args:
            data: The file, UTF-8.
            file: Its name, for errors.
            limits: The caps on the document.

        Raises:
            ClassFileError: When the file breaks a rule of docs/classes-file.md.
        """
        if int.from_bytes(data[:_LENGTH], "little") < len(data) and data[_LENGTH:].startswith(b"{"):
            message, hint = "this is a class pack, whose texts are gone", "give the class file that it was made of"
            raise ClassFileError(message, code="is_pack", where=Place(file), expected="a class file, YAML", hint=hint)
        return _Reader(file).read(parse_yaml(data, file=file, limits=limits))

    @classmethod
    def open(cls, path: Path) -> ClassFile:
        """Read a class file from the disk.

        Raises:
            ClassFileError: When the file cannot be read, or breaks a rule of docs/classes-file.md.
        """
        return cls.parse(read_regular(path, max_bytes=LARGEST_FILE, error=ClassFileError), file=str(path))


class _Reader:
    """Turns nodes into a ClassFile; knows the file's name for its errors."""

    def __init__(self, file: str) -> None:
        self._file = file

    def read(self, root: Node) -> ClassFile:
        if isinstance(root, Sequence):
            return ClassFile(self._file, self._entries(root, ""))
        if isinstance(root, Scalar):
            raise self._refuse(root, "", f"the file is one word, {shown(root.text)}", "wrong_type", "a list of classes")
        if "names" in root.items:
            self._check_keys(root, "", ("names",))
            return ClassFile(self._file, self._names(root.items["names"]))
        self._check_keys(root, "", _TOP_KEYS)
        if "classes" not in root.items:
            raise self._refuse(root, "classes", "there are no classes", "no_classes", "a list under 'classes'")
        entries = self._entries(root.items["classes"], "classes")
        reject = self._number(root, "reject", "")
        penalty = self._number(root, "seen_penalty", "")
        if penalty is not None and penalty < 0:
            node = root.items["seen_penalty"]
            raise self._refuse(node, "seen_penalty", f"the seen penalty is {penalty}", "out_of_range", "a number ≥ 0")
        return ClassFile(self._file, entries, self._templates(root), reject, penalty)

    def _names(self, node: Node) -> tuple[ClassEntry, ...]:
        """Read short form 2: `names:` with a list, or with numbers as keys."""
        if isinstance(node, Sequence):
            return self._entries(node, "names")
        if isinstance(node, Scalar):
            raise self._refuse(
                node, "names", f"{shown(node.text)} is one word", "wrong_type", "a list, or numbers first"
            )
        for key in node.items:
            if not _INDEX.fullmatch(key):
                place = Scalar(key, node.key_lines[key])
                path = field_path("names", key)
                raise self._refuse(place, path, f"the key {shown(key)} is no number", "bad_key", "a number from 0")
        if len({int(key) for key in node.items}) != len(node.items):
            raise self._refuse(node, "names", "two keys are the same number", "duplicate_key", "each number once")
        ordered = sorted(node.items, key=int)
        return self._unique([self._entry(node.items[key], f"names.{key}") for key in ordered], node, "names")

    def _entries(self, node: Node, path: str) -> tuple[ClassEntry, ...]:
        if not isinstance(node, Sequence):
            raise self._refuse(node, path, "this is not a list", "wrong_type", "a list of classes, each after a dash")
        entries = [self._entry(item, f"{path}[{number}]") for number, item in enumerate(node.items)]
        return self._unique(entries, node, path)

    def _unique(self, entries: list[ClassEntry], node: Node, path: str) -> tuple[ClassEntry, ...]:
        if not 1 <= len(entries) <= MOST_CLASSES:
            code = "too_many" if entries else "no_classes"
            raise self._refuse(node, path, f"there are {len(entries)} classes", code, f"1 to {MOST_CLASSES}")
        first: dict[str, ClassEntry] = {}
        for entry in entries:
            other = first.setdefault(entry.name, entry)
            if other is not entry:
                raise ClassFileError(
                    f"the class {shown(entry.name)} stands on line {other.place.line} too",
                    code="duplicate_name",
                    where=entry.at("name") if entry.lines else entry.place,
                    expected="each name once",
                    hint="rename one, or make it a synonym of the other",
                )
        return tuple(entries)

    def _entry(self, node: Node, path: str) -> ClassEntry:
        if isinstance(node, Scalar):
            return ClassEntry(self._name(node, path), Place(self._file, node.line, path))
        if isinstance(node, Sequence):
            raise self._refuse(node, path, "a class is a list", "wrong_type", "a name, or fields such as name:")
        self._check_keys(node, path, _CLASS_KEYS)
        if "name" not in node.items:
            raise self._refuse(node, f"{path}.name", "the class has no name", "missing_key", "a field name:")
        return ClassEntry(
            name=self._name(node.items["name"], f"{path}.name"),
            place=Place(self._file, node.line, path),
            kind=self._kind(node, path),
            synonyms=tuple(self._texts(node, "synonyms", path)),
            descriptions=tuple(self._texts(node, "descriptions", path)),
            parents=tuple(self._texts(node, "parents", path)),
            attributes=self._attributes(node, path),
            examples=tuple(self._texts(node, "examples", path)),
            vector=self._vector(node, path),
            threshold=self._number(node, "threshold", path),
            negative=self._flag(node, "negative", path),
            lines=node.key_lines,
        )

    def _kind(self, node: Mapping, path: str) -> Kind:
        found = {_KIND_KEYS[key]: key for key in node.items if key in _KIND_KEYS}
        if ("vector" in found and len(found) > 1) or len(found.keys() - {"examples"}) > 1:
            keys = " and ".join(found.values())
            last = node.items[list(found.values())[-1]]
            raise self._refuse(last, path, f"the class is given by {keys}", "two_kinds", "one kind of semantics")
        return next((kind for kind in found if kind != "examples"), "examples" if found else "words")

    def _name(self, node: Node, path: str) -> str:
        if not isinstance(node, Scalar):
            raise self._refuse(node, path, "the name is not one text", "wrong_type", "a word or a phrase")
        fault = name_fault(node.text) or name_fault(canonical_name(node.text))  # NFC may lengthen it
        if fault:
            raise self._refuse(node, path, f"the name {shown(node.text)} {fault}", "bad_name", "a visible name")
        return canonical_name(node.text)

    def _texts(self, owner: Mapping, key: str, path: str) -> list[str]:
        items = self._items(owner, key, path, MOST_TEXTS)
        return [self._text(item, f"{path}.{key}[{number}]") for number, item in enumerate(items)]

    def _items(self, owner: Mapping, key: str, path: str, most: int) -> list[Node]:
        node = owner.items.get(key)
        if node is None:
            return []
        where = f"{path}.{key}".lstrip(".")
        if not isinstance(node, Sequence):
            raise self._refuse(node, where, f"{key} is not a list", "wrong_type", f"as in {key}: [first, second]")
        if not 1 <= len(node.items) <= most:
            raise self._refuse(node, where, f"{key} has {len(node.items)} items", "out_of_range", f"1 to {most}")
        return node.items

    def _text(self, node: Node, path: str) -> str:
        if not isinstance(node, Scalar):
            raise self._refuse(node, path, "this is not one text", "wrong_type", "a text")
        text = node.text.strip()
        if not text or len(text) > LONGEST_TEXT:  # before NFC, which is quadratic in the marks on one letter
            code = "too_long" if text else "empty"
            raise self._refuse(node, path, f"the text has {len(text)} characters", code, f"1 to {LONGEST_TEXT}")
        return canonical_name(text)

    def _templates(self, root: Mapping) -> tuple[str, ...] | None:
        items = self._items(root, "templates", "", MOST_TEMPLATES)
        templates = []
        for number, item in enumerate(items):
            path = f"templates[{number}]"
            text = self._text(item, path)
            if text.count(SLOT) != 1:
                message = f"the template {shown(text)} has not one place for the name"
                raise self._refuse(item, path, message, "bad_template", "{} once")
            templates.append(text)
        return tuple(templates) or None

    def _attributes(self, owner: Mapping, path: str) -> dict[str, float]:
        node = owner.items.get("attributes")
        if node is None:
            return {}
        where = f"{path}.attributes"
        if not isinstance(node, Mapping) or not node.items:
            expected = "names with numbers, as in {stripes: 1}"
            raise self._refuse(node, where, "attributes is no mapping, or empty", "wrong_type", expected)
        return {name: self._as_number(value, field_path(where, name)) for name, value in node.items.items()}

    def _vector(self, owner: Mapping, path: str) -> tuple[float, ...]:
        items = self._items(owner, "vector", path, YamlLimits().nodes)
        return tuple(self._as_number(item, f"{path}.vector[{number}]") for number, item in enumerate(items))

    def _number(self, owner: Mapping, key: str, path: str) -> float | None:
        node = owner.items.get(key)
        return None if node is None else self._as_number(node, f"{path}.{key}".lstrip("."))

    def _as_number(self, node: Node, path: str) -> float:
        text = node.text if isinstance(node, Scalar) else ""
        number = float(text) if _NUMBER.fullmatch(text) else float("nan")
        if not abs(number) <= LARGEST_NUMBER:
            found = shown(text) if isinstance(node, Scalar) else "a list or mapping"
            fault = "is too large" if _NUMBER.fullmatch(text) else "is not a number"
            raise self._refuse(node, path, f"{found} {fault}", "not_a_number", f"a number within ±{LARGEST_NUMBER:g}")
        return number

    def _flag(self, owner: Mapping, key: str, path: str) -> bool:
        node = owner.items.get(key)
        if node is None:
            return False
        text = node.text if isinstance(node, Scalar) else None
        if text not in {"true", "false"}:
            found = "a list or mapping" if text is None else shown(text)
            raise self._refuse(node, f"{path}.{key}", f"{key} is {found}", "not_a_flag", "true or false")
        return text == "true"

    def _check_keys(self, node: Mapping, path: str, allowed: tuple[str, ...]) -> None:
        for key in node.items:
            if key not in allowed:
                raise ClassFileError(
                    f"the key {shown(key)} is unknown",
                    code="unknown_key",
                    where=Place(self._file, node.key_lines[key], field_path(path, key)),
                    expected=f"one of {', '.join(allowed)}",
                    hint=_spelling(key, allowed),
                )

    def _refuse(self, node: Node, path: str, message: str, code: str, expected: str) -> ClassFileError:
        where = Place(self._file, node.line, path or None)
        return ClassFileError(message, code=code, where=where, expected=expected, hint=_HINTS[code])


def _spelling(key: str, allowed: tuple[str, ...]) -> str:
    """Return what to do about an unknown key."""
    import difflib

    close = difflib.get_close_matches(key, allowed, 1)
    return f"write {close[0]!r}, or remove the key" if close else "remove the key"
