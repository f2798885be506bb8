"""The loop: take an embedded frame, answer it, hand the answer on; between two frames, swap the classes.

Answers, swaps and events pass through one thread, so that what a sink sees is in order: a `classes_swapped` stands
before the first answer of its revision.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.errors import EdgezslError, SourceError, SourceLostError
from edgezsl.runtime.events import ClassesRefused, ClassesSwapped, Recognition, SourceChanged
from edgezsl.runtime.frame_embedder import EmbeddedFrame, FrameEmbedder
from edgezsl.runtime.reader import ReadyFrame
from edgezsl.runtime.recognizer import SHORT_DIGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.events import Event
    from edgezsl.runtime.reader import FrameReader
    from edgezsl.runtime.recognizer import Recognizer
    from edgezsl.runtime.sinks import Sink
    from edgezsl.runtime.sources import Frame

_POLL_S = 0.1  # how long the loop waits for a frame before it looks for new classes


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What a stream did.

    Attributes:
        answered: Frames answered.
        dropped: Frames dropped because a newer one had come.
        swaps: Class sets swapped in while it ran.
        refusals: Class sets refused while it ran.
        seconds: From the first frame to the last.
    """

    answered: int
    dropped: int
    swaps: int
    refusals: int
    seconds: float

    @property
    def fps(self) -> float:
        """Frames answered per second."""
        return (self.answered - 1) / self.seconds if self.answered > 1 and self.seconds > 0 else 0.0


class Stream:
    """Recognises the frames of one source.

    Args:
        reader: Reads the source; started and closed by `run`.
        recognizer: Answers each frame.
        sinks: Where answers and events go; closed by `run`.
    """

    def __init__(self, reader: FrameReader, recognizer: Recognizer, sinks: Sequence[Sink]) -> None:
        self._reader = reader
        self._recognizer = recognizer
        self._frames = FrameEmbedder(reader, self._embed)
        self._sinks = sinks
        self._offers: queue.SimpleQueue[tuple[ClassPrototypes | EdgezslError, str]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._answered = self._swaps = self._refusals = 0
        self._first_s = self._last_s = 0.0

    def offer(self, classes: ClassPrototypes | EdgezslError, origin: str) -> None:
        """Hand over a new class set, or the error that refused one; taken between two frames. From any thread."""
        self._offers.put((classes, origin))

    def stop(self) -> None:
        """End `run` after the frame at hand. From any thread or signal handler."""
        self._stopping.set()

    def run(self) -> StreamSummary:
        """Answer frames until the source ends or `stop` is called.

        Raises:
            SourceError: When the source cannot be opened.
            SourceLostError: When it goes silent.
            EngineError: When the engine fails.
            SinkError: When an output cannot be written.
        """
        self._frames.start()
        try:
            while not self._stopping.is_set():
                item = self._frames.poll(_POLL_S)
                self._take_offers()
                if isinstance(item, EmbeddedFrame):
                    self._answer(item)
                elif item is not None:
                    self._tell(item)
                    if isinstance(item, SourceChanged) and item.type == "source_ended":
                        break
        except (SourceError, SourceLostError) as fault:
            self._tell(SourceChanged("source_lost", time.time(), self._reader.name, str(fault)))
            raise
        finally:
            with ExitStack() as ending:  # every sink, whatever the others do
                for sink in self._sinks:
                    ending.callback(sink.close)
                self._frames.close()
        return StreamSummary(
            self._answered, self._reader.dropped, self._swaps, self._refusals, self._last_s - self._first_s
        )

    def _take_offers(self) -> None:
        while not self._offers.empty():
            classes, origin = self._offers.get()
            if isinstance(classes, EdgezslError):
                self._refuse(classes, origin)
                continue
            try:
                revision = self._recognizer.swap(classes)
            except EdgezslError as fault:
                self._refuse(fault, origin)
                continue
            self._swaps += 1
            self._tell(ClassesSwapped(time.time(), revision, classes.digest[:SHORT_DIGEST], len(classes), origin))

    def _refuse(self, fault: EdgezslError, origin: str) -> None:
        self._refusals += 1
        self._tell(ClassesRefused(time.time(), origin, fault))

    def _embed(self, frame: Frame) -> NDArray[np.float32]:
        pixels = frame.pixels if isinstance(frame, ReadyFrame) else self._recognizer.prepare(frame.image)
        return self._recognizer.embed(pixels)

    def _answer(self, embedded: EmbeddedFrame) -> None:
        frame, answer = embedded.frame, self._recognizer.answer(embedded.embeddings)
        self._last_s = time.monotonic()
        self._first_s = self._first_s or self._last_s
        self._answered += 1
        recognition = Recognition(
            frame=frame.number,
            time=frame.time,
            media_time=frame.media_time,
            source=self._reader.name,
            revision=answer.revision,
            classes=answer.classes,
            release=None,
            dropped=self._reader.dropped,
            latency_ms=(time.time() - frame.time) * 1000,
            regions=answer.regions,
            file=frame.file,
        )
        for sink in self._sinks:
            sink.frame(frame, recognition)

    def _tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink.event(event)
