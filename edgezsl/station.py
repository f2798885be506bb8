"""What `edgezsl run` assembles: a bundle, an engine, classes, a source and their watchers, opened and closed together."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.bundle import Bundle
from edgezsl.device import detect_profile, load_profile
from edgezsl.errors import redacted
from edgezsl.runtime.embed_process import EmbedProcess
from edgezsl.runtime.engine import choose_engine, installed_engines, open_first_engine, preload
from edgezsl.runtime.reader import STALL_S, FrameReader
from edgezsl.runtime.recognizer import TOP_K, Recognizer
from edgezsl.runtime.sources import open_source, public_name
from edgezsl.runtime.stream import Stream, StreamSummary
from edgezsl.runtime.watch import ClassSource, ClassWatcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgezsl.device_profile import DeviceProfile
    from edgezsl.runtime.sinks import Sink
    from edgezsl.runtime.sources import FrameSource

SWITCH_INTERVAL_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSettings:
    """What to run.

    Attributes:
        source: A source's URI.
        classes: A class file or class pack.
        bundle: A bundle's folder, or None for the model that comes with edgezsl.
        engine: `auto` or an engine's name.
        threads: Threads of the engine, or None for the device profile's.
        precision: Which encoder of the bundle, or None for its default.
        plans: Where TensorRT's plans lie, or None for the usual place.
        device: A device profile's name or file, or None to detect it.
        top_k: How many classes an answer lists.
        as_fast_as_possible: Read files without pacing, and drop no frame.
        stall_s: Seconds of silence after which the source counts as lost.
    """

    source: str
    classes: Path
    bundle: Path | None = None
    engine: str = "auto"
    threads: int | None = None
    precision: str | None = None
    plans: Path | None = None
    device: str | None = None
    top_k: int = TOP_K
    as_fast_as_possible: bool = False
    stall_s: float = STALL_S


class Station:
    """A running recogniser on one source. Open it with `Station.open`, use it as a context manager.

    Attributes:
        bundle: The bundle that runs.
        engine: What runs it, and why, in words.
        recognizer: Answers frames; its classes may be swapped at any time. No event tells the sinks of such a swap.
    """

    def __init__(self, settings: StationSettings, bundle: Bundle, recognizer: Recognizer, engine: str) -> None:
        self.bundle = bundle
        self.engine = engine
        self.recognizer = recognizer
        self._settings = settings
        self._held = ExitStack()
        self._watched: tuple[ClassSource, bytes] | None = None
        self._stream: Stream | None = None
        self._stopped = False

    @classmethod
    def open(cls, settings: StationSettings) -> Station:
        """Open bundle, engine and classes; the source is opened by `run`.

        Raises:
            InputError: When bundle, classes, engine's name or device profile are not usable.
            EngineError: When the engine refuses the model or disagrees with its golden answers.
            EmbedderError: When the class file killed the child process that embeds it.
        """
        # In this order: where opening fails, what is held is released first, and a class file at work is not waited for.
        with ThreadPoolExecutor(1, "edgezsl.start") as beside, ExitStack() as held:
            opened = beside.submit(Bundle.open, settings.bundle)  # its files are hashed while packages are imported
            profile, why = _profile(settings.device)
            likely = choose_engine(
                settings.engine, profile.engines, installed_engines(), profile.name, precision=settings.precision
            )
            preload(likely.name)  # of the bundle nothing is known yet
            bundle = opened.result()
            embedder = EmbedProcess(bundle)
            held.callback(embedder.close)
            source = ClassSource(settings.classes, bundle.manifest.space, embedder)
            data = source.read()
            classes = beside.submit(source.prototypes, data)  # the child embeds while the engine loads
            threads = settings.threads or profile.threads
            engine, reason = open_first_engine(
                bundle,
                settings.engine,
                profile,
                threads=threads,
                precision=settings.precision,
                plans=settings.plans,
            )
            held.callback(engine.close)
            prototypes = classes.result()
            recognizer = Recognizer(
                engine, bundle.manifest.contract, prototypes, space=bundle.manifest.space, top_k=settings.top_k
            )
            station = cls(settings, bundle, recognizer, f"{engine.description} ({reason}; {why})")
            station._watched = source, data
            station._held = held.pop_all()
        return station

    def run(self, sinks: Sequence[Sink], *, source: FrameSource | None = None) -> StreamSummary:
        """Recognise until the source ends or `stop` is called, swapping classes whenever their file changes.

        Args:
            sinks: Where answers and events go; closed at the end.
            source: An open source in place of the one that the settings name; closed at the end.

        Raises:
            SourceError: When the source cannot be opened.
            SourceLostError: When it goes silent.
            EngineError: When the engine fails.
            SinkError: When an output cannot be written.
        """
        settings = self._settings

        def open_it() -> FrameSource:
            return source or open_source(
                settings.source, as_fast_as_possible=settings.as_fast_as_possible, timeout_s=settings.stall_s
            )

        name, prepare = source.name if source else public_name(settings.source), self.recognizer.prepare
        reader = FrameReader(open_it, name, stall_s=settings.stall_s, prepare=prepare)
        stream = self._stream = Stream(reader, self.recognizer, sinks)
        if self._stopped:  # before there was a stream to stop
            stream.stop()
        if self._watched is not None:
            classes, data = self._watched
            origin = redacted(str(classes.path))
            watcher = ClassWatcher(classes, lambda offered: stream.offer(offered, origin))
            watcher.start(data)
            self._held.callback(watcher.close)
            self._held.callback(classes.close)  # first: the watcher may be waiting for the child
        return stream.run()

    def stop(self) -> None:
        """End `run` after the frame at hand. From any thread or signal handler."""
        self._stopped = True
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Stop watching, and release engine and child process. Closing twice is allowed."""
        self._held.close()

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prefer_latency() -> None:
    """Make this process answer evenly: for a program that serves one stream, once its packages are imported.

    The garbage collector no longer walks what exists now: it stopped every thread for 20 ms in the middle of a frame.
    A thread gets Python's lock from another that computes after 1 ms instead of 5.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _profile(device: str | None) -> tuple[DeviceProfile, str]:
    if device is not None:
        return load_profile(device), f"device {device} as asked"
    detection = detect_profile()
    return detection.profile, detection.reason
