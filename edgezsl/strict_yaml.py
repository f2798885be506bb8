"""A strict subset of YAML, read as a tree of text in which every node knows its line.

No alias, anchor, tag, directive, merge key or second document; no key twice; no scalar is ever retyped, so that `no`,
`on`, `1:30` and `012` stay what was written. Size and depth are capped before the parser sees a byte and again while
it runs: nothing here recurses, whatever the input. What the fields mean is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgezsl.errors import ClassFileError, Place, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRACKETS = re.compile(rb"[\[\]{}]")
_WORD = re.compile(r"[\w -]{1,40}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FOLDED_DASH = " - "  # what a line that begins with a dash becomes when YAML joins it to the one above
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.1, section 5.1


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """The caps on one document.

    Attributes:
        bytes: Length of the document.
        depth: Nested sequences and mappings.
        nodes: Scalars, sequences and mappings.
    """

    bytes: int = 4 << 20
    depth: int = 16
    nodes: int = 1_000_000


@dataclass(slots=True)
class Scalar:
    """A scalar: its text, never retyped, its line from 1, and whether it stood in quotes or a block."""

    text: str
    line: int
    quoted: bool = False


@dataclass(slots=True)
class Sequence:
    """A sequence of nodes."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A mapping from unique texts to nodes; `key_lines` gives the line of each key."""

    line: int
    items: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def parse_yaml(data: bytes, *, file: str, limits: YamlLimits | None = None) -> Node:
    """Return the one document in `data`.

    Args:
        data: The document, UTF-8.
        file: Its name, for errors.
        limits: The caps.

    Raises:
        ClassFileError: When a cap is broken, the text is not YAML, or uses what the subset leaves out.
    """
    limits = limits or YamlLimits()
    _check_bytes(data, file, limits)
    builder = _Builder(file, limits)
    for event in _events(data, file):
        builder.take(event)
    if builder.root is None:
        raise _empty(file)
    return builder.root


def field_path(path: str, key: str) -> str:
    """Return the path of the field `key` below `path`; a key that is more than a word or two is quoted and cut."""
    return f"{path}.{key if _WORD.fullmatch(key) else shown(key)}".lstrip(".")


def _events(data: bytes, file: str) -> Iterator[Any]:
    """Yield PyYAML's events; its exceptions end here."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from yaml.parse(data, Loader=loader)
    except yaml.MarkedYAMLError as cause:
        line = cause.problem_mark.line + 1 if cause.problem_mark else None
        raise ClassFileError(
            f"this is not YAML ({cause.problem or cause.context})",
            code="not_yaml",
            where=Place(file, line),
            hint="check the indentation, quotes and brackets at this line and the one above",
        ) from cause
    except (yaml.YAMLError, ValueError, OverflowError) as cause:  # "\\UFFFFFFFF", where PyYAML has no libyaml
        reason = str(cause).splitlines()[0]
        hint = "write it anew in a plain text editor"
        raise ClassFileError(f"this is not YAML ({reason})", code="not_yaml", where=Place(file), hint=hint) from cause


def _empty(file: str) -> ClassFileError:
    return ClassFileError(
        "the file is empty",
        code="empty",
        where=Place(file),
        expected="at least one class",
        hint="write a name on a line of its own, after a dash: - cat",
    )


def _check_bytes(data: bytes, file: str, limits: YamlLimits) -> None:
    if len(data) > limits.bytes:
        raise _too_large(f"the file has {len(data)} bytes", Place(file), limits.bytes)
    try:
        text = data.decode()
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise ClassFileError(
            f"the byte 0x{data[cause.start]:02x} is not UTF-8",
            code="not_text",
            where=Place(file, line),
            hint="save the file as UTF-8",
        ) from cause
    if not text.strip("\ufeff \t\r\n"):
        raise _empty(file)
    if odd := _NOT_TEXT.search(text):
        raise _not_text(f"U+{ord(odd[0]):04X}", Place(file, text.count("\n", 0, odd.start()) + 1))
    depth = 0
    for match in _BRACKETS.finditer(data):
        depth = depth + 1 if match[0] in b"[{" else max(0, depth - 1)
        if depth > limits.depth:
            raise _too_deep(file, data.count(b"\n", 0, match.start()) + 1, limits)


def _dash_too_deep(text: str, where: Place) -> ClassFileError:
    return ClassFileError(
        f"YAML joins these lines to one text, {shown(text)}",
        code="not_yaml",
        where=where,
        expected="every dash of a list below the one before, or the text in quotes",
        hint="move the dash to the left",
    )


def _not_text(character: str, where: Place) -> ClassFileError:
    hint = "remove it; it can be seen with: cat -A"
    return ClassFileError(f"the character {character} is not text", code="not_text", where=where, hint=hint)


def _too_large(message: str, where: Place, most: int) -> ClassFileError:
    hint = (
        "give fewer or shorter texts; many ready vectors belong into a class pack: edgezsl.ClassPrototypes, in Python"
    )
    return ClassFileError(message, code="too_large", where=where, expected=f"at most {most}", hint=hint)


def _too_deep(file: str, line: int, limits: YamlLimits) -> ClassFileError:
    return ClassFileError(
        f"nested deeper than {limits.depth} levels",
        code="too_deep",
        where=Place(file, line),
        expected=f"at most {limits.depth} levels",
        hint="close every bracket, also those inside a text",
    )


class _Builder:
    """Builds the tree from the parser's events, with a stack instead of recursion."""

    def __init__(self, file: str, limits: YamlLimits) -> None:
        self.root: Node | None = None
        self._file = file
        self._limits = limits
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []  # for each open node: the key that waits for its value
        self._in_brackets: list[bool] = []  # for each open node
        self._nodes = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match type(event).__name__:
            case "ScalarEvent":
                self._refuse_extras(event, line)
                if _SURROGATE.search(event.value):  # an escape that libyaml refuses, and PyYAML's own parser does not
                    raise _not_text("half of a surrogate pair", Place(self._file, line))
                if self._joins_a_dash(event):
                    raise _dash_too_deep(event.value, Place(self._file, line))
                self._add(Scalar(event.value, line, quoted=bool(event.style)))  # plain: libyaml says "", PyYAML None
            case "SequenceStartEvent" | "MappingStartEvent" as kind:
                self._refuse_extras(event, line)
                self._in_brackets.append(bool(event.flow_style))
                self._start(Sequence(line) if kind == "SequenceStartEvent" else Mapping(line), line)
            case "SequenceEndEvent" | "MappingEndEvent":
                self._open.pop()
                self._keys.pop()
                self._in_brackets.pop()
            case "AliasEvent":
                raise self._left_out(f"the alias {shown('*' + event.anchor)}", line)
            case "DocumentStartEvent":
                if self.root is not None:
                    raise self._left_out("a second document", line)
                if event.version or event.tags:
                    raise self._left_out("a directive (%)", line)

    def _joins_a_dash(self, event: Any) -> bool:
        plain = not event.style and not (self._in_brackets and self._in_brackets[-1])
        return plain and event.end_mark.line > event.start_mark.line and _FOLDED_DASH in event.value

    def _start(self, node: Sequence | Mapping, line: int) -> None:
        self._add(node)
        self._open.append(node)
        self._keys.append(None)
        if len(self._open) > self._limits.depth:
            raise _too_deep(self._file, line, self._limits)

    def _add(self, node: Node) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            place = Place(self._file, node.line)
            raise _too_large(f"there are more than {self._limits.nodes} values", place, self._limits.nodes)
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = self._checked_key(parent, node)
        else:
            parent.items[key.text] = node
            parent.key_lines[key.text] = key.line
            self._keys[-1] = None

    def _checked_key(self, parent: Mapping, node: Node) -> Scalar:
        place = Place(self._file, node.line)
        if not isinstance(node, Scalar):
            raise ClassFileError(
                "a key is a list or a mapping",
                code="bad_key",
                where=place,
                expected="a word",
                hint="quote a text that begins with a bracket or a brace",
            )
        if node.text == "<<" and not node.quoted:
            raise self._left_out("the merge key <<", node.line)
        if node.text in parent.items:
            raise ClassFileError(
                f"the key {shown(node.text)} stands on line {parent.key_lines[node.text]} too",
                code="duplicate_key",
                where=place,
                hint="keep one of the two",
            )
        return node

    def _refuse_extras(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            raise self._left_out(f"the anchor {shown('&' + event.anchor)}", line)
        if event.tag is not None:
            raise self._left_out(f"the tag {shown(event.tag)}", line)

    def _left_out(self, what: str, line: int) -> ClassFileError:
        return ClassFileError(
            f"{what} is not allowed",
            code="not_allowed",
            where=Place(self._file, line),
            expected="plain YAML without aliases, anchors, tags, directives, merge keys or further documents",
            hint="write the value out",
        )
