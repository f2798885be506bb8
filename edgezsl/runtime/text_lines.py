"""Lines of text as they come, from a file or a pipe: never more of one in memory than may be read, never an end before the end."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Note = Literal["empty_line", "cut", "bad_utf8", "unknown_words"]

LONGEST_LINE = 1 << 14  # bytes that are read of a line
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # the byte order mark that some editors write first


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line.

    Attributes:
        number: From 1.
        text: Without its end; bytes that are no UTF-8 are spaces.
        notes: What is odd about it: `empty_line`, `cut`, `bad_utf8`.
    """

    number: int
    text: str
    notes: tuple[Note, ...] = ()


def text_lines(stream: BinaryIO) -> Iterator[TextLine]:
    """Yield every line of a stream as soon as it is whole; of one longer than 16 KiB, its beginning."""
    number = 0
    while head := stream.readline(LONGEST_LINE):
        number += 1
        cut = len(head) == LONGEST_LINE and not head.endswith(b"\n") and _rest_dropped(stream)
        text, whole = _decoded(head, cut=cut)
        text = (text.removeprefix(_MARK) if number == 1 else text).strip()
        notes: list[Note] = ["empty_line"] if not text else []
        notes += ["cut"] if cut else []
        notes += [] if whole else ["bad_utf8"]
        yield TextLine(number, text, tuple(notes))


def _rest_dropped(stream: BinaryIO) -> bool:
    """Read on to the end of the line, and return whether anything stood before it."""
    dropped = False
    while rest := stream.readline(LONGEST_LINE):
        dropped = dropped or bool(rest.strip(b"\r\n"))
        if rest.endswith(b"\n"):
            break
    return dropped


def _decoded(data: bytes, *, cut: bool) -> tuple[str, bool]:
    """Return the text, and whether all of it was UTF-8; a character that the cut went through is left out."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut), True
    except UnicodeDecodeError:
        return data.decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", " "), False
