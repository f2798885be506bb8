"""A station that runs in a thread while a benchmark swaps its classes, everything it answered, and when.

It knows how to time answers and count what is missing between them; what may be missing is the benchmark's to say.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import EdgezslError
from edgezsl.runtime.events import ClassesRefused
from edgezsl.runtime.synthetic import Scene, SyntheticSource
from edgezsl.station import Station, prefer_latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from report import Report

    from edgezsl.runtime.events import Event, Recognition
    from edgezsl.runtime.recognizer import Recognizer
    from edgezsl.runtime.sources import Frame
    from edgezsl.station import StationSettings

WIDTH, HEIGHT = 640, 480  # pixels of the synthetic stream
WARM_UP = 20  # answers before the first segment
_LOOK_S = 0.004  # how often a benchmark looks whether an answer has come
LEAST_CHANCE = 0.01  # below it, what is seen while swapping is not what is seen without
_WAIT_S = 20.0


class Recorder:
    """A sink that keeps every answer and the monotonic time at which it came."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.answers: list[Recognition] = []
        self.refusals: list[EdgezslError] = []

    def frame(self, frame: Frame, answer: Recognition) -> None:  # noqa: ARG002  # pictures are made again from their number
        """Keep an answer."""
        self.times.append(time.monotonic())
        self.answers.append(answer)

    def event(self, event: Event) -> None:
        """Keep a refusal."""
        if isinstance(event, ClassesRefused):
            self.refusals.append(event.error)

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How busy the machine was, from its start on.

    Attributes:
        waiting_s: Time in which some task that could run had no processor (`/proc/pressure/cpu`), ours included.
        stolen_s: Processor time that the host gave to others.
    """

    waiting_s: float
    stolen_s: float

    @classmethod
    def now(cls) -> Machine:
        """Return the two, 0 where the kernel does not say."""
        pressure, ticks = Path("/proc/pressure/cpu"), Path("/proc/stat").read_text(encoding="ascii").split()
        some = pressure.read_text(encoding="ascii").partition("total=")[2].split() if pressure.exists() else ["0"]
        return cls(int(some[0]) / 1e6, int(ticks[8]) / 100)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a run.

    Attributes:
        busy: Whether classes were swapped in it.
        start: Monotonic time.
        end: Monotonic time.
        waiting: Share of the time in which a task waited for a processor.
        stolen_s: Processor time that the host took meanwhile.
    """

    busy: bool
    start: float
    end: float
    waiting: float
    stolen_s: float


class LiveStation:
    """Runs a station in a thread; a context manager.

    Args:
        settings: What to run.
        recognizer: Makes the recognizer that answers in place of the station's own, or None.
    """

    def __init__(self, settings: StationSettings, *, recognizer: Callable[[Station], Recognizer] | None = None) -> None:
        self.recorder = Recorder()
        self.segments: list[Segment] = []
        self.station = Station.open(settings)
        if recognizer is not None:
            self.station.recognizer = recognizer(self.station)
        prefer_latency()  # as `edgezsl run` does
        self._fault: EdgezslError | None = None
        self._thread = threading.Thread(target=self._run, name="benchmark.stream")

    def __enter__(self) -> LiveStation:
        self._thread.start()
        self.wait_for(lambda: len(self.recorder.times) > WARM_UP)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self.station.stop()
        self._thread.join()
        self.station.close()
        if self._fault is not None:
            raise self._fault from value

    def segment(self, work: Callable[[], object], *, busy: bool) -> None:
        """Do `work`, in this thread, and remember when that was."""
        before, start = Machine.now(), time.monotonic()
        work()
        end, after = time.monotonic(), Machine.now()
        waiting = (after.waiting_s - before.waiting_s) / max(end - start, 1e-9)
        self.segments.append(Segment(busy, start, end, waiting, after.stolen_s - before.stolen_s))

    def wait_for_revision(self, revision: int) -> float | None:
        """Return when the first answer of `revision` or a later one came, or None when none did in 20 s."""
        answers = self.recorder.answers
        if not self.wait_for(lambda: bool(answers) and answers[-1].revision >= revision):
            return None
        first = len(answers) - 1
        while first and answers[first - 1].revision >= revision:
            first -= 1
        return self.recorder.times[first]

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Return whether `condition` came true within 20 s."""
        until = time.monotonic() + _WAIT_S
        while not condition():
            if time.monotonic() > until or not self._thread.is_alive():
                return False
            time.sleep(_LOOK_S)
        return True

    def _run(self) -> None:
        try:
            self.station.run([self.recorder])
        except EdgezslError as fault:
            self._fault = fault


@dataclass(frozen=True, slots=True)
class Flow:
    """How evenly answers came in some segments.

    Attributes:
        answered: Frames answered.
        missing: Frames of the stream that nobody answered.
        worst_gap_s: The longest time between two answers.
        p99_gap_s: The 99th percentile.
        waiting: Share of the time in which a task waited for a processor.
        stolen_s: Processor time that the host took.
        gaps_s: Every time between two answers.
    """

    answered: int
    missing: int
    worst_gap_s: float
    p99_gap_s: float
    waiting: float
    stolen_s: float
    gaps_s: tuple[float, ...]

    def late(self, fps: float) -> int:
        """Return how many times an answer came more than two frame periods after the one before."""
        return sum(gap * fps > 2 for gap in self.gaps_s)

    @classmethod
    def of(cls, recorder: Recorder, segments: Iterable[Segment]) -> Flow:
        """Return the flow of all answers that came in `segments`."""
        chosen = list(segments)
        times = np.array(recorder.times[: len(recorder.answers)])
        numbers = np.array([answer.frame for answer in recorder.answers[: len(times)]])
        gaps, missing = [], 0
        for segment in chosen:
            inside = np.flatnonzero((times >= segment.start) & (times <= segment.end))
            gaps.append(np.diff(times[inside]))
            missing += int((np.diff(numbers[inside]) - 1).sum())
        every = np.concatenate(gaps)
        length = sum(segment.end - segment.start for segment in chosen)
        return cls(
            answered=len(every) + len(chosen),
            missing=missing,
            worst_gap_s=float(every.max(initial=0)),
            p99_gap_s=float(np.percentile(every, 99)) if len(every) else 0.0,
            waiting=sum(segment.waiting * (segment.end - segment.start) for segment in chosen) / length,
            stolen_s=sum(segment.stolen_s for segment in chosen),
            gaps_s=tuple(every.tolist()),
        )


def add_flow(report: Report, live: LiveStation, fps: float, what: str) -> None:
    """Add to the report how answers came with swaps and without: no gap above two periods, and no more missing than chance.

    A machine that others share loses a frame now and then; whether swaps add to that is a question for a test.
    """
    busy = Flow.of(live.recorder, [segment for segment in live.segments if segment.busy])
    quiet = Flow.of(live.recorder, [segment for segment in live.segments if not segment.busy])
    report.note(
        f"{what}: {busy.answered} answers while swapping, {quiet.answered} between; some task waited for a processor "
        f"{busy.waiting:.0%} and {quiet.waiting:.0%} of the time, the host took {busy.stolen_s:.2f} and {quiet.stolen_s:.2f} s"
    )
    report.add(f"{what}: worst gap while swapping, in frame periods", busy.worst_gap_s * fps, most=2)
    report.add(f"{what}: worst gap without swaps, in frame periods", quiet.worst_gap_s * fps)
    report.add(f"{what}: worst gap while swapping", busy.worst_gap_s * 1000, "ms")
    report.add(f"{what}: 99th percentile of gaps while swapping", busy.p99_gap_s * 1000, "ms")
    report.add(f"{what}: 99th percentile of gaps without swaps", quiet.p99_gap_s * 1000, "ms")
    for kind, many, few in (
        ("frames missing", busy.missing, quiet.missing),
        ("gaps above 2 frame periods", busy.late(fps), quiet.late(fps)),
    ):
        report.add(f"{what}: {kind} without swaps, of {quiet.answered}", few)
        report.add(f"{what}: {kind} while swapping, of {busy.answered}", many)
        chance = by_chance(many, busy.answered, few, quiet.answered)
        report.add(f"{what}: chance of so many {kind} if swaps add none", chance, least=LEAST_CHANCE)


def by_chance(many: int, of_busy: int, few: int, of_quiet: int) -> float:
    """Return the probability of `many` events or more in the busy part if busy and quiet parts are alike.

    One-sided exact test (Fisher, "Statistical Methods for Research Workers", 5th edition, 1934, section 21.02).
    """
    total, events = of_busy + of_quiet, many + few
    ways = [math.comb(of_busy, count) * math.comb(of_quiet, events - count) for count in range(many, events + 1)]
    return sum(ways) / math.comb(total, events)


def scene(fps: float) -> Scene:
    """Return the synthetic stream's scene."""
    return Scene(WIDTH, HEIGHT, fps)


def uri(fps: float) -> str:
    """Return the URI of the synthetic stream."""
    return f"synthetic:?width={WIDTH}&height={HEIGHT}&fps={fps:g}"


def sustained_fps(recognizer: Recognizer, wanted: float) -> float:
    """Return `wanted`, or 0.8 of the rate at which one frame after the other is answered where that is less."""
    picture = SyntheticSource(scene(wanted)).picture
    taken = []
    for number in range(30):
        image = picture(number)
        start = time.perf_counter()
        recognizer.recognize(image)
        taken.append(time.perf_counter() - start)
    return min(wanted, max(1.0, round(0.8 / float(np.median(taken)))))
