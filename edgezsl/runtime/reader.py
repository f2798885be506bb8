"""One thread that reads a source, and a slot for the newest frame.

A slow reader never makes a camera's frames old: the newest frame wins and the others are counted. Only files and
folders that are read as fast as possible wait for their reader. The watchdog is ours: a backend that hangs in `open`
or `read` is noticed by the absence of frames, whatever it promised.

The next frame's pixels are prepared in this thread while the engine is at work on the last one's: preprocessing costs
a stream no time where a second core is free.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.errors import EdgezslError, Place, SourceLostError
from edgezsl.runtime.events import SourceChanged
from edgezsl.runtime.sources import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.runtime.sources import FrameSource

STALL_S = 5.0
_JOIN_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class ReadyFrame(Frame):
    """A frame that was prepared ahead.

    Attributes:
        pixels: What `prepare` made of the image.
    """

    pixels: NDArray[Any]


class FrameReader:
    """Reads a source in a thread of its own.

    Args:
        open_source: Opens the source; called in the thread, under the watchdog.
        name: The source's URI without credentials.
        stall_s: Seconds without a frame, or without the source opening, after which it counts as lost.
        prepare: Turns an image into pixels, in the thread; None leaves that to whoever takes the frame.
    """

    def __init__(
        self,
        open_source: Callable[[], FrameSource],
        name: str,
        *,
        stall_s: float = STALL_S,
        prepare: Callable[[NDArray[np.uint8]], NDArray[Any]] | None = None,
    ) -> None:
        self.name = name
        self.dropped = 0
        self._open_source = open_source
        self._stall_s = stall_s
        self._prepare = prepare
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._slot: Frame | None = None
        self._notices: list[SourceChanged] = []
        self._fault: EdgezslError | None = None
        self._done = False
        self._reading_since: float | None = None
        # A daemon: a driver that never returns from a read must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"edgezsl[{name}].capture", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._reading_since = time.monotonic()
        self._thread.start()

    def poll(self, timeout_s: float) -> Frame | SourceChanged | None:
        """Return the newest frame, or what has happened to the source, or None after `timeout_s` without either.

        A frame that was prepared is a `ReadyFrame`. A `source_ended` is the last thing that is returned.

        Raises:
            SourceLostError: When the source went silent for `stall_s`, or its thread died.
            SourceError: When the source could not be opened.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._notices or self._done, timeout_s)
            if self._notices and (self._notices[0].type == "source_opened" or self._slot is None):
                return self._notices.pop(0)
            if self._slot is not None:
                frame, self._slot = self._slot, None
                self._changed.notify_all()
                return frame
            if self._fault is not None:
                raise self._fault
            if self._done:
                raise self._lost("its reader died")
        since = self._reading_since
        if since is not None and time.monotonic() - since > self._stall_s:
            raise self._lost(f"no frame for {self._stall_s:g} s")
        return None

    def close(self) -> None:
        """Stop the thread and close the source. A thread that hangs in a driver is left behind."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            self._read_all()
        except EdgezslError as fault:
            self._fault = fault
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _read_all(self) -> None:
        source = self._open_source()
        try:
            self._notice("source_opened", "frames are expected")
            started: tuple[float, float] | None = None  # (media time, monotonic time) of the first frame
            while not self._stopping.is_set():
                self._reading_since = time.monotonic()
                frame = source.read()
                self._reading_since = None
                if frame is None:
                    self._notice("source_ended", "there are no more frames")
                    return
                # While the slot is full the loop is behind, and most frames that come are dropped: not worth preparing.
                if self._prepare is not None and (self._slot is None or source.pace == "waiting"):
                    pixels = self._prepare(frame.image)
                    frame = ReadyFrame(frame.image, frame.number, frame.time, frame.media_time, pixels)
                if source.pace == "timed" and frame.media_time is not None:
                    started = started or (frame.media_time, time.monotonic())
                    self._stopping.wait(frame.media_time - started[0] + started[1] - time.monotonic())
                self._publish(frame, waiting=source.pace == "waiting")
        finally:
            source.close()

    def _publish(self, frame: Frame, *, waiting: bool) -> None:
        with self._changed:
            if waiting:
                self._changed.wait_for(lambda: self._slot is None or self._stopping.is_set())
            if self._slot is not None:
                self.dropped += 1
            self._slot = frame
            self._changed.notify_all()

    def _notice(self, kind: str, message: str) -> None:
        with self._changed:
            self._notices.append(SourceChanged(kind, time.time(), self.name, message))  # type: ignore[arg-type]  # ours
            self._changed.notify_all()

    def _lost(self, reason: str) -> SourceLostError:
        return SourceLostError(
            f"the source {self.name} is lost: {reason}",
            code="source_lost",
            where=Place(self.name),
            hint="check the camera or the network, then start again; `edgezsl doctor` lists what works",
        )
