"""What a command prints: text for people, or one JSON object for programs. Reports go to standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def console(*, stderr: bool = False) -> Console:
    """Return the console for text; markup is off, so that brackets in a name stay brackets."""
    return Console(stderr=stderr, markup=False, highlight=False, soft_wrap=True, emoji=False)


def say_json(value: Any) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print pairs of a word and a value, one a line, aligned."""
    rows = [(word, str(value)) for word, value in facts]
    width = max(len(word) for word, _ in rows)
    for word, value in rows:
        console().print(f"{word:<{width}}  {value}")


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table without lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)
