"""The demo itself: a station before the virtual camera, and a class file that is edited half-way.

Everything is real: the file lies in a temporary folder and is replaced as an editor does it, the watcher hears of it, the
child process embeds it, the stream swaps. Whoever runs the demo gets what happens as events, and the report as the
last of them.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edgezsl.demo.camera import FRAME_SIZE, NAME, VirtualCamera
from edgezsl.demo.record import Counts, DemoReport, Seen, Still
from edgezsl.demo.script import Timeline
from edgezsl.demo.surroundings import Surroundings
from edgezsl.evaluate.document import small_jpeg
from edgezsl.files import write_durably
from edgezsl.runtime.events import ClassesRefused, ClassesSwapped
from edgezsl.station import Station, StationSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from edgezsl.demo.script import Script
    from edgezsl.errors import EdgezslError
    from edgezsl.runtime.events import Event, Recognition
    from edgezsl.runtime.sinks import Sink
    from edgezsl.runtime.sources import Frame

FPS = 15.0
NEXT_COMMAND = "edgezsl run --camera 0 --classes classes.yaml"
_TOP = 32  # every class of the script's files, so that its score can be drawn
_STILL_WIDTH = 400  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How to show it.

    Attributes:
        seconds: How long the camera shows.
        bundle: The model: a bundle's folder, or None for the one that comes with edgezsl.
        fps: Its frames a second.
        size: Height and width of its frames, pixels.
        seed: Of its movements and its noise.
        engine: `auto` or an engine's name.
        threads: Threads of the engine, or None for the device profile's.
        missing: Photographs that were not found, for the report.
        command: What was typed, for the report.
        next_command: What to type next, for the report.
    """

    seconds: float
    bundle: Path | None = None
    fps: float = FPS
    size: tuple[int, int] = FRAME_SIZE
    seed: int = 7
    engine: str = "auto"
    threads: int | None = None
    missing: tuple[str, ...] = ()
    command: str = "edgezsl demo"
    next_command: str = NEXT_COMMAND


@dataclass(frozen=True, slots=True)
class Opened:
    """The model is ready; the camera starts next.

    Attributes:
        surroundings: Model, machine and versions.
        frames: How many frames the camera will show.
    """

    surroundings: Surroundings
    frames: int


@dataclass(frozen=True, slots=True)
class Edited:
    """The class file was replaced.

    Attributes:
        time: When, Unix seconds.
        text: Its new content.
    """

    time: float
    text: str


DemoEvent = Opened | Seen | Edited | ClassesSwapped | ClassesRefused | DemoReport


def run_demo(settings: DemoSettings, script: Script, *, sinks: Sequence[Sink] = ()) -> Generator[DemoEvent, None, None]:
    """Show the script, and yield what happens; the last event is the report.

    Closing the iterator early ends everything that it started.

    Args:
        settings: How to show it.
        script: What to show.
        sinks: Further sinks for the stream, such as a window.

    Yields:
        `Opened`, then a `Seen` for each answered frame with `Edited` and `ClassesSwapped` between them, and a
        `DemoReport`.

    Raises:
        InputError: When the bundle is not usable or offers no classes by words, or the show is too short.
        TransientError: When engine, child process or a sink fail.
    """
    timeline = Timeline.of(script, seconds=settings.seconds, fps=settings.fps)
    shots = timeline.shots(seed=settings.seed)
    camera = VirtualCamera(shots, fps=settings.fps, seed=settings.seed, size=settings.size)
    with TemporaryDirectory(prefix="edgezsl-demo-") as folder:
        classes = Path(folder) / "classes.yaml"
        classes.write_text(script.before, encoding="utf-8")
        with Station.open(_station_settings(settings, classes)) as station:
            surroundings = Surroundings.of(station, command=settings.command, next_command=settings.next_command)
            yield Opened(surroundings, timeline.frames)
            log = _Log(timeline)
            with _running(station, camera, log, sinks):
                for event in log.events():
                    yield event
                    if isinstance(event, Seen) and event.answer.frame >= timeline.edit_at and not log.edited:
                        yield log.edit(classes, script.after)
    counts = Counts(camera.frames, camera.given, log.dropped)
    yield log.report(script, settings, counts, surroundings)


def _station_settings(settings: DemoSettings, classes: Path) -> StationSettings:
    return StationSettings(
        source=NAME,
        classes=classes,
        bundle=settings.bundle,
        engine=settings.engine,
        threads=settings.threads,
        top_k=_TOP,
    )


@contextmanager
def _running(station: Station, camera: VirtualCamera, log: _Log, sinks: Sequence[Sink]) -> Iterator[None]:
    """Run the stream in a thread, and end it in any case."""

    def run() -> None:
        try:
            summary = station.run([log, *sinks], source=camera)
            log.end(summary.dropped, None)
        except Exception as fault:  # noqa: BLE001  # the seam of this thread: whoever reads the log raises it
            log.end(0, fault)

    thread = threading.Thread(target=run, name="edgezsl[demo].stream")
    thread.start()
    try:
        yield
    finally:
        station.stop()
        thread.join()


@dataclass(slots=True)
class _End:
    """The stream has ended: with a fault, or without."""

    fault: Exception | None


@dataclass(slots=True)
class _Log:
    """A sink that keeps everything, and hands it to another thread as it comes.

    Attributes:
        timeline: Which frame shows what.
        dropped: Frames dropped by the stream; known once it has ended.
    """

    timeline: Timeline
    dropped: int = 0
    _seen: list[Seen] = field(default_factory=list)
    _frames: list[tuple[Seen, Any, bool]] = field(default_factory=list)  # for the stills
    _kept: set[int] = field(default_factory=set)  # shots that have their still
    _last: tuple[Seen, Any] | None = None
    _edited: Edited | None = None
    _swapped: ClassesSwapped | None = None
    _refusals: list[str] = field(default_factory=list)
    _events: queue.SimpleQueue[Seen | ClassesSwapped | ClassesRefused | _End] = field(default_factory=queue.SimpleQueue)

    @property
    def edited(self) -> bool:
        """Whether the class file has been replaced."""
        return self._edited is not None

    def frame(self, frame: Frame, answer: Recognition) -> None:
        """Keep an answer, and some frames."""
        shot = self.timeline.shot_at(answer.frame)
        scene = self.timeline.scenes[shot]
        seen = Seen(shot, scene.title, scene.expected(answer.revision), answer)
        if self._last and self._last[0].answer.revision != answer.revision:
            self._frames += [(*self._last, True), (seen, frame.image, True)]
        elif shot not in self._kept and answer.frame >= self.timeline.middles[shot]:
            self._kept.add(shot)
            self._frames.append((seen, frame.image, False))
        self._last = seen, frame.image
        self._seen.append(seen)
        self._events.put(seen)

    def event(self, event: Event) -> None:
        """Keep what happened to the classes."""
        if isinstance(event, ClassesSwapped):
            self._swapped = event
            self._events.put(event)
        elif isinstance(event, ClassesRefused):
            self._refusals.append(_reason(event.error))
            self._events.put(event)

    def close(self) -> None:
        """Do nothing: `end` says when the stream has ended."""

    def end(self, dropped: int, fault: Exception | None) -> None:
        """Say that the stream has ended."""
        self.dropped = dropped
        self._events.put(_End(fault))

    def events(self) -> Iterator[Seen | ClassesSwapped | ClassesRefused]:
        """Yield what comes until the stream has ended; raise what ended it."""
        while not isinstance(event := self._events.get(), _End):
            yield event
        if event.fault is not None:
            raise event.fault

    def edit(self, classes: Path, text: str) -> Edited:
        """Replace the class file."""
        write_durably(classes, text.encode())
        self._edited = Edited(time.time(), text)
        return self._edited

    def report(self, script: Script, settings: DemoSettings, counts: Counts, surroundings: Surroundings) -> DemoReport:
        """Return the report."""
        return DemoReport(
            script=script,
            fps=settings.fps,
            counts=counts,
            seen=tuple(self._seen),
            edited_at=self._edited.time if self._edited else None,
            swapped_at=self._swapped.time if self._swapped else None,
            refusals=tuple(self._refusals),
            stills=tuple(
                Still(seen, small_jpeg(image, width=_STILL_WIDTH), at_swap) for seen, image, at_swap in self._frames
            ),
            missing=settings.missing,
            surroundings=surroundings,
        )


def _reason(error: EdgezslError) -> str:
    return f"{error.message} (line {error.where.line})" if error.where.line else error.message
