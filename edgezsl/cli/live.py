"""What a person watches while a stream runs, or finds in the journal afterwards.

On a terminal a line that changes; elsewhere a line for each decision that lasts. A line for each picture of a folder, and one
for each event.
"""

from __future__ import annotations

import sys
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from edgezsl.cli.say import console, counted, say
from edgezsl.runtime.events import ClassesRefused, ClassesSwapped, SourceChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    from edgezsl.runtime.events import Event, Recognition
    from edgezsl.runtime.sources import Frame

_REFRESH_S = 0.1
_HELD_S = 0.5  # how long a decision must last before it is a line: between two classes it flickers
_BETWEEN_S = 1.0  # at least, from line to line
_SMOOTHING = 0.05  # share of the newest interval in the frame rate shown


class LiveLine:
    """A sink for a person, on standard error.

    Args:
        quiet: Whether to print events only, no answers: where nobody watches, or lines of JSON say them.
        beside: Gives what stands beside the frame rate, such as watts.
    """

    def __init__(self, *, quiet: bool, beside: Callable[[], str] = str) -> None:
        self._beside = beside
        self._quiet = quiet
        self._console: Console | None = console(stderr=True) if sys.stderr.isatty() and not quiet else None
        self._status: Status | None = None
        if self._console is not None:
            self._status = self._console.status("waiting for the first frame")
            self._status.start()
        self._decisions = Decisions() if self._console is None and not quiet else None
        self._shown_s = 0.0
        self._last_s: float | None = None
        self._interval_s: float | None = None

    def frame(self, frame: Frame, answer: Recognition) -> None:  # noqa: ARG002  # the picture is for other sinks
        """Show the answer: of a picture on a line of its own, else ten times a second at most."""
        if answer.file is not None and not self._quiet:
            self._print(f"{PurePath(answer.file).name}: {_answer(answer)}")
            return
        now = time.monotonic()
        if self._decisions is not None:
            if self._decisions.new(answer.regions[0].decision, now):
                self._print(f"{_answer(answer)}  frame {answer.frame}")
            return
        if self._last_s is not None:
            interval = now - self._last_s
            before = self._interval_s or interval
            self._interval_s = before + _SMOOTHING * (interval - before)
        self._last_s = now
        if self._status is not None and now - self._shown_s >= _REFRESH_S:
            self._shown_s = now
            self._status.update(self._line(answer))

    def event(self, event: Event) -> None:
        """Print an event on a line of its own; a source that was lost ends the command, which says why."""
        if not (isinstance(event, SourceChanged) and event.type == "source_lost"):
            self._print(_sentence(event))

    def close(self) -> None:
        """Take the changing line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _print(self, line: str) -> None:
        if self._console is None:
            say(line, stderr=True)
        else:
            self._console.print(line)  # above the changing line

    def _line(self, answer: Recognition) -> Text:
        from rich.text import Text

        rate = ", ".join(filter(None, (f"{1 / self._interval_s:.1f} FPS" if self._interval_s else "", self._beside())))
        # As a text, not a string: a spinner would read a name such as `box [/red]` as markup, and end the stream.
        return Text(
            f"{_answer(answer)}  frame {answer.frame}  {rate}  dropped {answer.dropped}  classes {answer.revision}"
        )


class Decisions:
    """Tells which decisions of a stream are news: the first one, and each that lasts and is another than was told last."""

    def __init__(self) -> None:
        self._told: tuple[str | None] | None = None  # in a tuple, since None is a decision too
        self._told_s = 0.0
        self._latest: tuple[str | None] | None = None
        self._since_s = 0.0

    def new(self, decision: str | None, now_s: float) -> bool:
        """Return whether a decision is to be told.

        Args:
            decision: A class, or None for none of them.
            now_s: Seconds of a clock that never falls.
        """
        if self._latest != (decision,):
            self._latest, self._since_s = (decision,), now_s
        lasts = now_s - self._since_s >= _HELD_S and now_s - self._told_s >= _BETWEEN_S
        if self._told is not None and (self._told == self._latest or not lasts):
            return False
        self._told, self._told_s = self._latest, now_s
        return True


def _answer(answer: Recognition) -> str:
    region = answer.regions[0]
    best = ", ".join(f"{one.name} {one.score:.2f}" for one in region.top[:3])
    return f"{region.decision or 'none of these'}  ({best})"


def _sentence(event: Event) -> str:
    if isinstance(event, ClassesSwapped):
        return f"classes {event.revision}: {counted(event.names, 'class', 'classes')} from {event.origin} ({event.classes})"
    if isinstance(event, ClassesRefused):
        return f"classes refused, the ones before go on: {event.error}"
    return f"{event.source.removesuffix(':')}: {event.message}"
