"""One thread that reads a source, and a place for the newest frame.

A slow reader never makes a camera's frames old: the newest frame wins and the others are counted. Only files and
folders that are read as fast as possible wait for their reader. The watchdog is ours: a backend that hangs in `open`
or `read` is noticed by the absence of frames, whatever it promised.

The next frame's pixels are prepared in this thread while the engine is at work on the last one's: preprocessing costs
a stream no time where a second core is free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from edgezsl.errors import Place, SourceLostError
from edgezsl.runtime.events import FrameSkipped, SourceChanged
from edgezsl.runtime.sources import Frame, skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.runtime.sources import FrameSource, Pace

STALL_S = 5.0
_JOIN_S = 2.0
_LONGEST_PAUSE_S = 10.0  # between two frames of a timed source; a longer one is a jump of its clock, and left out


@dataclass(frozen=True, slots=True, eq=False)
class ReadyFrame(Frame):
    """A frame that was prepared ahead.

    Attributes:
        pixels: What `prepare` made of the image.
    """

    pixels: NDArray[Any] = field(kw_only=True)


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
        self._items: deque[Frame | SourceChanged | FrameSkipped] = deque()  # in order; never more than one frame
        self._fault: Exception | None = None
        self._done = False
        self._reading_since: float | None = None
        self._began: tuple[float, float] | None = None  # (media time, monotonic time) of a timed source's first frame
        # A daemon: a driver that never returns from a read must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"edgezsl[{name}].capture", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._reading_since = time.monotonic()
        self._thread.start()

    def poll(self, timeout_s: float) -> Frame | SourceChanged | FrameSkipped | None:
        """Return the newest frame, or what has happened to the source, or None after `timeout_s` without either.

        Frames and notices come in the order in which they happened: `source_opened` is the first, a `FrameSkipped`
        stands after the last frame before it and before the next, and a `source_ended` is the last thing that is
        returned. A newer frame replaces one that nobody has taken, and never a notice. A frame that was prepared is a
        `ReadyFrame`.

        Raises:
            SourceLostError: When the source went silent for `stall_s`, or its thread died.
            SourceError: When the source could not be opened.
            Exception: What else was raised in the thread: by the source, or by `prepare`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._done, timeout_s)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
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
        except Exception as fault:  # noqa: BLE001  # the seam of this thread: whoever polls raises it
            self._fault = fault
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _read_all(self) -> None:
        source = self._open_source()
        try:
            self._notice("source_opened", "opened")
            told = 0
            while not self._stopping.is_set():
                self._reading_since = time.monotonic()
                frame = source.read()
                self._reading_since = None
                told = self._tell_skipped(source, told)
                if frame is None:
                    self._notice("source_ended", "there are no more frames")
                    return
                self._publish(self._made_ready(frame, source.pace), waiting=source.pace == "waiting")
        finally:
            source.close()

    def _made_ready(self, frame: Frame, pace: Pace) -> Frame:
        """Prepare a frame, and hold a timed one back until it is due."""
        with self._changed:
            behind = self._frame_waits()
        # While a frame waits the loop is behind, and most frames that come are dropped: not worth preparing.
        if self._prepare is not None and (pace == "waiting" or not behind):
            pixels = self._prepare(frame.image)
            frame = ReadyFrame(frame.image, frame.number, frame.time, frame.media_time, frame.file, pixels=pixels)
        if pace != "timed" or frame.media_time is None:
            return frame
        now = time.monotonic()
        began = self._began or (frame.media_time, now)
        if frame.media_time - began[0] + began[1] - now > _LONGEST_PAUSE_S:  # a recording that was cut together
            began = (frame.media_time, now)
        self._began = began
        due = frame.media_time - began[0] + began[1]
        self._stopping.wait(due - now)
        # Capture is when the frame was due; of one that was read too late, when it was read.
        return replace(frame, time=max(frame.time, time.time() - (time.monotonic() - due)))

    def _publish(self, frame: Frame, *, waiting: bool) -> None:
        with self._changed:
            if waiting:
                self._changed.wait_for(lambda: not self._frame_waits() or self._stopping.is_set())
                if self._stopping.is_set():
                    return
            if self._frame_waits():
                self._items = deque(item for item in self._items if not isinstance(item, Frame))
                self.dropped += 1
            self._items.append(frame)
            self._changed.notify_all()

    def _frame_waits(self) -> bool:
        return any(isinstance(item, Frame) for item in self._items)

    def _notice(self, kind: Literal["source_opened", "source_ended"], message: str) -> None:
        self._tell(SourceChanged(kind, time.time(), self.name, message))

    def _tell_skipped(self, source: FrameSource, told: int) -> int:
        """Tell what the source has left out since the first `told`; return how many have been told now."""
        fresh = skipped(source)[told:]
        for error in fresh:
            file = (error.where.file or self.name).removeprefix("file:")
            message = f"{file} was left out: {error.message}"
            self._tell(FrameSkipped(time.time(), self.name, file, message))
        return told + len(fresh)

    def _tell(self, notice: SourceChanged | FrameSkipped) -> None:
        with self._changed:
            self._items.append(notice)
            self._changed.notify_all()

    def _lost(self, reason: str) -> SourceLostError:
        return SourceLostError(
            f"the source {self.name} is lost: {reason}",
            code="source_lost",
            where=Place(self.name),
            hint="check the camera or the network, then start again; `edgezsl doctor` lists what works",
        )
