"""`edgezsl demo`: the model on real photographs before a virtual camera, and classes that change while it runs."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.options import BundleOption, JsonOption
from edgezsl.cli.say import console, say, say_facts, say_json, say_table
from edgezsl.errors import EdgezslError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.status import Status

    from edgezsl.demo.record import DemoReport, Seen
    from edgezsl.demo.show import DemoEvent

_REFRESH_S = 0.1


def demo(
    bundle: BundleOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The report to write (HTML).")] = Path("demo.html"),
    seconds: Annotated[float, typer.Option("--seconds", min=4, max=600, help="How long the camera shows.")] = 24.0,
    json: JsonOption = False,
) -> None:
    """Recognise real photographs before a virtual camera, edit the classes half-way, and write a report."""
    from edgezsl.demo.page import page
    from edgezsl.demo.photographs import find_photographs
    from edgezsl.demo.script import script_of
    from edgezsl.demo.show import NEXT_COMMAND, DemoSettings, run_demo
    from edgezsl.evaluate.document import ReportFile

    photographs, missing = find_photographs()
    file = ReportFile.open(out)
    settings = DemoSettings(
        bundle=bundle,
        seconds=seconds,
        missing=missing,
        command=_typed("edgezsl demo", bundle, "--out", str(out), "--seconds", f"{seconds:g}"),
        next_command=_typed(NEXT_COMMAND, bundle),
    )
    with _Watcher(quiet=json) as watcher, closing(run_demo(settings, script_of(photographs))) as events:
        report = watcher.follow(events)
    file.write(page(report))
    _say_report(report, out, json=json)


def _typed(command: str, bundle: Path | None, *rest: str) -> str:
    options = [] if bundle is None else ["--bundle", str(bundle)]
    return " ".join([command, *map(shlex.quote, (*options, *rest))])


class _Watcher:
    """Shows on standard error what happens: a line that changes, and one for each photograph and each event that stays.

    Args:
        quiet: Whether to show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console: Console | None = console(stderr=True) if sys.stderr.isatty() and not quiet else None
        self._status: Status | None = None
        self._shown_s = 0.0
        self._frames = 0
        self._said: Counter[str] = Counter()  # of the photograph before the camera now
        self._last: Seen | None = None
        self._edited_s = 0.0

    def __enter__(self) -> _Watcher:
        if self._console is not None:
            self._status = self._console.status("opening the model")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def follow(self, events: Iterable[DemoEvent]) -> DemoReport:
        """Show events until the report comes, and return it."""
        from edgezsl.demo.record import DemoReport

        for event in events:
            if isinstance(event, DemoReport):
                self._end_photograph()
                return event
            self._take(event)
        raise EdgezslError("the demo ended without a report", code="internal", hint="please report it")

    def _take(self, event: DemoEvent) -> None:
        from edgezsl.demo.record import Seen
        from edgezsl.demo.show import Edited, Opened
        from edgezsl.runtime.events import ClassesRefused, ClassesSwapped
        from edgezsl.station import prefer_latency

        match event:
            case Opened():
                self._frames = event.frames
                self._print(f"model {event.surroundings.model}, engine {event.surroundings.engine}")
                prefer_latency()
            case Seen():
                self._see(event)
            case Edited():
                self._edited_s = event.time
                self._print("classes.yaml is edited, the camera runs on")
            case ClassesSwapped():
                took = event.time - self._edited_s
                self._end_photograph()
                self._print(
                    f"classes {event.revision}: {event.names} classes answer from here on, {took:.2f} s after the edit"
                )
            case ClassesRefused():
                self._print(f"classes refused, the ones before go on: {event.error}")

    def _see(self, seen: Seen) -> None:
        from rich.text import Text

        from edgezsl.demo.record import called

        if self._last is not None and (self._last.shot, self._last.answer.revision) != (
            seen.shot,
            seen.answer.revision,
        ):
            self._end_photograph()
        self._last = seen
        self._said[called(seen.decision)] += 1
        now = time.monotonic()
        if self._status is not None and now - self._shown_s >= _REFRESH_S:
            self._shown_s = now
            best = ", ".join(f"{one.name} {one.score:.2f}" for one in seen.top[:3])
            place = f"frame {seen.answer.frame + 1} of {self._frames}"
            self._status.update(Text(f"{place}  {seen.title} → {called(seen.decision)}  ({best})"))

    def _end_photograph(self) -> None:
        """Print what was said of the photograph that has gone, or of the classes that have."""
        if self._last is not None:
            said = ", ".join(f"{name} ({count})" for name, count in self._said.most_common(3))
            self._print(f"  {self._last.title:<18} → {said}")
            self._said.clear()
            self._last = None

    def _print(self, line: str) -> None:
        if self._console is not None:
            self._console.print(line)  # above the changing line
        elif not self._quiet:
            say(line, stderr=True)


def _say_report(report: DemoReport, out: Path, *, json: bool) -> None:
    if json:
        say_json({**report.to_json(), "report": str(out)})
        return
    say("")
    say_table(["shown", "said before the edit", "right", "said after it", "right"], _rows(report))
    say("")
    swap = report.swap
    facts = [
        ("frames", f"{len(report.seen)} of the camera's {report.counts.due} answered, {len(report.lost)} lost"),
        ("rate", f"{report.measured_fps:.1f} FPS of the camera's {report.fps:g}"),
        (
            "swap gap",
            "no swap"
            if swap is None
            else f"{swap.gap:.2f} frame periods between the last old answer and the first new one, "
            f"{swap.swapped_s - swap.edited_s:.2f} s after the edit",
        ),
        *(("not as promised", fault) for fault in report.faults),
        *(("not shown", sentence) for sentence in report.missing),
        ("report", str(out)),
    ]
    say_facts(facts)
    say(f"next: {report.surroundings.next_command}")
    say("classes.yaml holds one name a line, each after a dash")


def _rows(report: DemoReport) -> list[tuple[str, ...]]:
    """Return a row for each photograph: what was said before the edit and after it, and how often rightly."""
    rows = []
    for scene in report.script.scenes:
        cells = [scene.title]
        for new in (False, True):
            seen = [one for one in report.seen if one.title == scene.title and (one.answer.revision > 1) is new]
            cells += _cells(seen)
        rows.append(tuple(cells))
    return rows


def _cells(seen: list[Seen]) -> tuple[str, str]:
    from edgezsl.demo.record import called

    if not seen:
        return "-", "-"
    said, _ = Counter(called(one.decision) for one in seen).most_common(1)[0]
    right = sum(one.right for one in seen)
    wanted = called(seen[0].expected)
    return said if said == wanted else f"{said} (not {wanted})", f"{right} of {len(seen)}"
