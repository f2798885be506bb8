"""Doubles of the outside world, each behind the same seam as the real thing."""

from __future__ import annotations

import threading
import time

import numpy as np

from edgezsl.errors import Place, SourceError, SourceLostError
from edgezsl.runtime.sources import Frame
from tests.factories import colour_frame


def still(number: int, *, colour: str = "red", media_time: float | None = None, file: str | None = None) -> Frame:
    """Return a frame of one colour."""
    return Frame(colour_frame(colour), number, time.time(), media_time, file)


class ListSource:
    """A source that gives the frames of a list."""

    def __init__(self, frames, *, pace="waiting", name="list", interval_s=0.0) -> None:
        self.name = name
        self.pace = pace
        self.closed = False
        self._frames = iter(frames)
        self._interval_s = interval_s

    def read(self):
        if self._interval_s:
            time.sleep(self._interval_s)
        return next(self._frames, None)

    def close(self) -> None:
        self.closed = True


class EndlessSource(ListSource):
    """A live source that never ends; `colour` may be changed while it runs."""

    def __init__(self, *, interval_s=0.005) -> None:
        super().__init__((), pace="live", name="endless", interval_s=interval_s)
        self.colour = "red"
        self._number = 0

    def read(self):
        time.sleep(self._interval_s)
        self._number += 1
        return still(self._number, colour=self.colour)


class StuckSource(ListSource):
    """A source that gives some frames and then hangs in `read`, as a driver does."""

    def __init__(self, frames=()) -> None:
        super().__init__(frames, pace="live", name="stuck")
        self.released = threading.Event()

    def read(self):
        frame = super().read()
        if frame is None:
            self.released.wait()
        return frame


class BrokenSource(ListSource):
    """A source that ends with the error of a camera that was unplugged."""

    def read(self):
        frame = super().read()
        if frame is None:
            raise SourceLostError("the camera is gone", code="source_lost", hint="plug it in")
        return frame


class LeavingOutSource(ListSource):
    """A source of pictures, of which each that is a string, a path, cannot be read."""

    def __init__(self, pictures) -> None:
        super().__init__(pictures, name="file:photos")
        self.skipped = []

    def read(self):
        frame = super().read()
        while isinstance(frame, str):
            self.skipped.append(SourceError("the file is empty", code="empty_file", where=Place(f"file:{frame}")))
            frame = super().read()
        return frame


class Capture:
    """A `cv2.VideoCapture` that gives so many black pictures and then ends, as one with GStreamer does."""

    def __init__(self, pictures: int) -> None:
        self.released = False
        self._left = pictures

    def get(self, _property) -> float:
        return 0.0

    def read(self):
        self._left -= 1
        return (True, np.zeros((8, 8, 3), np.uint8)) if self._left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


class RecordingSink:
    """A sink that keeps everything, and can wait for it."""

    def __init__(self) -> None:
        self.answers = []
        self.events = []
        self.lines = []  # both, in order
        self.closed = False
        self._changed = threading.Condition()

    def frame(self, frame, answer) -> None:
        with self._changed:
            self.answers.append(answer)
            self.lines.append(answer)
            self._changed.notify_all()

    def event(self, event) -> None:
        with self._changed:
            self.events.append(event)
            self.lines.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        self.closed = True

    def wait_for(self, condition, timeout_s=20.0) -> None:
        """Wait until `condition(self)` holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), "what was waited for did not come"


def random_frames(count: int, *, seed: int = 0, size=(24, 32)) -> list[Frame]:
    """Return frames of noise."""
    random = np.random.RandomState(seed)
    return [Frame(random.randint(0, 256, (*size, 3)).astype(np.uint8), n, time.time(), None) for n in range(count)]
