"""Class files that went wrong, without end: good ones, broken in the ways in which editors, disks and enemies break them.

`mutants(seed, count)` gives the same files in every run and on every machine.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD_FILES = (
    b"- red\n- green\n- blue\n",
    b"- no\n- on\n- 1:30\n- 012\n- blue 2024-02-29\n- red\n",
    b"names: {0: red, 1: green, 10: blue}\n",
    b"names:\n  0: red\n  1: green sea\n  2: blue\n",
    b"names: [red, 'green', \"bl\\u0075e\"]\n",
    b"""\
# every kind
templates: ["a photo of a {}.", "the {} thing"]
reject: 0.18
seen_penalty: 0.05
classes:
  - name: red
    synonyms: [magenta, "red thing"]
    descriptions: ["the colour of a red thing"]
    threshold: 0.22
  - {name: blue, negative: true}
  - {name: meadow, attributes: {greenish: 1, bright: 0.25}}
  - {name: rose, examples: [red.png, pictures/red.png]}
  - {name: up, vector: [0, 0, 0.6, 0, 0, -0.8]}
  - plain yellow
""",
    b"classes: [red, {name: green, threshold: .5}]\nreject: 1e-3\n",
    "- caf\u00e9 red\n- \u732b blue\n- \U0001f469\u200d\U0001f33e green\n- it's 50% white\n".encode(),
    b'{"classes": [{"name": "red", "threshold": 0.5}, {"name": "black", "negative": false}]}\n',
    b"- >-\n  a red\n  thing\n- |-\n  blue\n- 'it''s cyan'\n",
)

TOKENS = (
    *(
        b"&a ",
        b"*a",
        b"!!str ",
        b"!x ",
        b"!!python/object:os.system ",
        b"<<: ",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n---\n",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"- ",
        b"? ",
        b": ",
        b", ",
        b"#",
        b" #",
        b"|\n",
        b">\n",
        b'"',
        b"'",
        b"\\",
        b"\\x00",
        b"\\u202e",
    ),
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\t",
        b" ",
        b"\0",
        b"\x1b[31m",
        b"\x7f",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *("\u0085", "\u2028", "\u202e", "\u200b", "\u0301", "\ufffe", "\U0001f600"),
    *(b"null", b"~", b"true", b"True", b"yes", b".nan", b".inf", b"-.inf", b"1e999", b"1e31", b"0x1F", b"1_000", b"-1"),
    *(b"name: ", b"names: ", b"classes: ", b"threshold: ", b"synonyms: ", b"examples: ", b"vector: ", b"attributes: "),
    *(b"{}", b"../", b"/etc/passwd", b"[" * 20, b"- " * 20, b"9" * 400, b"a" * 300, b"{a: " * 20),
)
_WORD = re.compile(rb"[A-Za-z0-9.]+")


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """Yield `count` class files, each a good one with one to four changes; some of them are still good."""
    chance = random.Random(seed)
    for _ in range(count):
        data = chance.choice(GOOD_FILES)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_CHANGES)(chance, data)
        yield data


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randint(0, len(data))


def _span(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = _place(chance, data)
    return start, min(len(data), start + chance.randint(1, 12))


def _flip_a_bit(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _insert_a_token(chance: random.Random, data: bytes) -> bytes:
    at = _place(chance, data)
    token = chance.choice(TOKENS)
    return data[:at] + (token if isinstance(token, bytes) else token.encode()) + data[at:]


def _delete_a_span(chance: random.Random, data: bytes) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def _repeat_a_span(chance: random.Random, data: bytes) -> bytes:
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.randint(1, 3) + data[end:]


def _cut_off(chance: random.Random, data: bytes) -> bytes:
    return data[: _place(chance, data)]


def _splice(chance: random.Random, data: bytes) -> bytes:
    other = chance.choice(GOOD_FILES)
    return data[: _place(chance, data)] + other[_place(chance, other) :]


def _change_a_word(chance: random.Random, data: bytes) -> bytes:
    """Swap a word or number for another of the good files, or for a token."""
    words = list(_WORD.finditer(data))
    if not words:
        return data
    word = chance.choice(words)
    other = chance.choice([*_WORD.findall(chance.choice(GOOD_FILES)), chance.choice(TOKENS)])
    return data[: word.start()] + (other if isinstance(other, bytes) else other.encode()) + data[word.end() :]


def _repeat_a_line(chance: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    lines.insert(_line(chance, lines), chance.choice(lines))
    return b"".join(lines)


def _move_a_line(chance: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    moved = lines.pop(chance.randrange(len(lines)))
    lines.insert(_line(chance, lines), moved)
    return b"".join(lines)


def _indent_a_line(chance: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = chance.randrange(len(lines))
    lines[at] = chance.choice((b" ", b"  ", b"\t", b"- ")) + lines[at]
    return b"".join(lines)


def _write_differently(chance: random.Random, data: bytes) -> bytes:
    """Save as another program would: other line ends, another encoding, a byte-order mark."""
    text = data.decode(errors="replace")
    return chance.choice(
        (
            data.replace(b"\n", b"\r\n"),
            data.replace(b"\n", b"\r"),
            b"\xef\xbb\xbf" + data,
            text.encode("utf-16"),
            text.encode("latin-1", errors="replace"),
            data.rstrip(b"\n"),
        )
    )


def _line(chance: random.Random, lines: list[bytes]) -> int:
    return chance.randint(0, len(lines))


_CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip_a_bit, _insert_a_token, _delete_a_span, _repeat_a_span, _cut_off, _splice),
    *(_change_a_word, _change_a_word, _repeat_a_line, _move_a_line, _indent_a_line, _write_differently),
)
