"""`edgezsl classify-text`: lines of text by the same matrix as frames."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from edgezsl.cli.options import BundleOption, ClassFileArgument, ThreadsOption
from edgezsl.cli.say import say, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.runtime.text_recognizer import TextRecognition

_STANDARD_INPUT = "-"


def classify_text(
    classes: ClassFileArgument,
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="The lines, UTF-8; - is standard input.", show_default=False)
    ] = _STANDARD_INPUT,
    bundle: BundleOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes an answer lists.")] = 5,
    threads: ThreadsOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each line instead of text.")] = False,
) -> None:
    """Say for each line of text which class it belongs to: one line in, one line out, at once."""
    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassFile
    from edgezsl.runtime.text_lines import text_lines
    from edgezsl.runtime.text_recognizer import TextRecognizer

    recognizer = TextRecognizer.open(Bundle.open(bundle), ClassFile.open(classes), threads=threads, top_k=top)
    source = "stdin" if file == _STANDARD_INPUT else f"file:{file}"
    with _opened(file) as stream:
        for answer in recognizer.answers(text_lines(stream), source=source):
            if json:
                say_json(answer.to_json())
            else:
                say(_said(answer))
            sys.stdout.flush()


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    from edgezsl.errors import Place, SourceError

    if file == _STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115  # closed below; what is read of it has errors of its own
    except (OSError, ValueError) as cause:
        message = f"the lines cannot be read ({getattr(cause, 'strerror', cause)})"
        hint = "give a text file, or - for standard input"
        raise SourceError(message, code="not_readable", where=Place(file), hint=hint) from cause
    with stream:
        yield stream


def _said(answer: TextRecognition) -> str:
    """Return one line for a person; the text itself is not repeated: it may hold what a terminal obeys."""
    odd = f" ({', '.join(note.replace('_', ' ') for note in answer.notes)})" if answer.notes else ""
    if not answer.region.top:
        return f"-{odd}"
    best = answer.region.top[0]
    if answer.region.decision is None:
        return f"none of these: {best.name} {best.score:.3f}{odd}"
    return f"{best.name} {best.score:.3f}{odd}"
