"""Figures with their bars: printed as they come, written as JSON, and summed up in an exit status."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from environment import environment, sentence

if TYPE_CHECKING:
    from pathlib import Path

_WIDTH = 74


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        name: What was measured.
        value: How much it is, or None where it could not be measured.
        unit: Of the value; empty for a count or a ratio.
        bar: What is allowed, such as `<= 2`; None where nothing is required.
        passed: Whether the value meets the bar; None without one.
    """

    name: str
    value: float | None
    unit: str
    bar: str | None
    passed: bool | None


class Report:
    """Collects the figures of one benchmark.

    Args:
        title: The benchmark's name and question.
    """

    def __init__(self, title: str) -> None:
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self._title = title
        self._environment = environment()
        print(title, sentence(self._environment), sep="\n", flush=True)

    def section(self, title: str) -> None:
        """Print a heading."""
        print(f"\n{title}", flush=True)

    def note(self, text: str) -> None:
        """Print and keep a sentence that explains figures."""
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def add(
        self,
        name: str,
        value: float | None,
        unit: str = "",
        *,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        """Print and keep a figure.

        Args:
            name: What was measured; unique in the report.
            value: How much it is, or None where it could not be measured: then a bar is missed.
            unit: Of the value.
            most: The largest value allowed.
            least: The smallest value allowed.
        """
        bars = [f"<= {most:g}"] if most is not None else [f">= {least:g}"] if least is not None else []
        passed = None
        if bars:
            passed = value is not None and (most is None or value <= most) and (least is None or value >= least)
        figure = Figure(name, value, unit, bars[0] if bars else None, passed)
        self.figures.append(figure)
        shown = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
        verdict = "" if passed is None else f"{figure.bar:>10}  {'pass' if passed else 'MISSED'}"
        print(f"  {name:<{_WIDTH}} {shown:>9} {unit:<4}{verdict}".rstrip(), flush=True)

    def finish(self, path: Path | None) -> int:
        """Print the verdict, write the JSON file where one is wanted, and return the exit status: 1 for a missed bar."""
        missed = [figure.name for figure in self.figures if figure.passed is False]
        if path is not None:
            found = {
                "title": self._title,
                "environment": self._environment,
                "figures": [asdict(figure) for figure in self.figures],
                "notes": self.notes,
                "missed": missed,
            }
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\n{len(missed)} bars missed" + "".join(f"\n  {name}" for name in missed), flush=True)
        return 1 if missed else 0
