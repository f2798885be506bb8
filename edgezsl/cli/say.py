"""What a command prints: text for people, or one JSON object for programs. Reports go to standard output.

rich takes 40 ms to import, and draws tables and changing lines only: what needs neither does without it.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from rich.console import Console

T = TypeVar("T")
_LEAST_ROOM = 30  # characters for a value, however narrow the terminal


def console(*, stderr: bool = False) -> Console:
    """Return the console for what changes on a terminal; markup is off, so that brackets in a name stay brackets."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, soft_wrap=True, emoji=False)


def say(line: str, *, stderr: bool = False) -> None:
    """Print a line of text."""
    typer.echo(line, err=stderr)


def say_json(value: Any) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say_wrapped(text: str, *, lead: str = "") -> None:
    """Print a text, wrapped to the width of the terminal.

    Args:
        text: What to print.
        lead: What stands before it; every further line begins below the end of it.
    """
    room = max(shutil.get_terminal_size().columns, len(lead) + _LEAST_ROOM)
    lines = textwrap.wrap(
        text,
        room,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_on_hyphens=False,
        break_long_words=False,  # an address or a path is copied whole
    )
    say("\n".join(lines) or lead.rstrip())


def say_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print pairs of a word and a value, aligned, the value wrapped to the width of the terminal."""
    rows = [(word, str(value)) for word, value in facts]
    width = max(len(word) for word, _ in rows)
    for word, value in rows:
        say_wrapped(value, lead=f"{word:<{width}}  ")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return `1 class`, `2 classes`; many of them have an s at the end unless another word is given."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def rules_facts(verdicts: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return a fact for each precision and verdict: which versions of TensorRT it is said of."""
    facts = []
    for precision, rows in verdicts.items():
        ordered = sorted(rows, key=lambda version: [int(part) for part in version.split(".") if part.isdecimal()])
        for verdict in dict.fromkeys(rows[version] for version in ordered):
            versions = ", ".join(version for version in ordered if rows[version] == verdict)
            facts.append(("TensorRT", f"{precision}, {versions}: {verdict}"))
    return facts


def followed(steps: Iterable[Any], kind: type[T], *, first: str) -> T:
    """Draw the progress of long work where somebody looks on, and return its result.

    Args:
        steps: Progress with `step`, `done` and `total`, and last the result.
        kind: Of the result.
        first: What to say before the first step.
    """
    from rich.progress import Progress

    said = console(stderr=True)
    with Progress(console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task(first, total=None)
        for step in steps:
            if isinstance(step, kind):
                return step
            bar.update(task, description=step.step, completed=step.done, total=step.total)
    raise RuntimeError("the work ended without a result")


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, whole: Container[str] = ()) -> None:
    """Print a table without lines; the columns in `whole` are never wrapped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    screen = console()
    with screen.capture() as drawn:
        screen.print(table)
    for line in drawn.get().splitlines():
        say(line.rstrip())  # rich fills the last column up
