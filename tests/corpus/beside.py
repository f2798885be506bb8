"""A real stream in a thread of its own, for tests that do harm beside it and look whether it noticed."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.reader import FrameReader
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.sources import open_source
from edgezsl.runtime.stream import Stream

SOURCE = "synthetic:?width=160&height=120&fps=100"
PATIENCE_S = 30  # far more than a frame ever takes: what ends here is stuck


class StreamBeside:
    """A stream on a synthetic camera and the bundle's own engine; it is its own sink.

    Attributes:
        answered: Frames answered so far.
        digests: The class sets that answered them.
        events: What else happened.
    """

    def __init__(self, bundle, classes):
        self.answered = 0
        self.digests = set()
        self.events = []
        self._changed = threading.Condition()
        recognizer = Recognizer(open_engine(bundle, "onnx", threads=1), bundle.manifest.contract, classes)
        reader = FrameReader(lambda: open_source(SOURCE), "synthetic:")
        self._stream = Stream(reader, recognizer, [self])
        self._thread = threading.Thread(target=self._stream.run)

    def still_answers(self):
        """Return whether one more frame is answered from now on."""
        with self._changed:
            goal = self.answered + 1
            return self._changed.wait_for(lambda: self.answered >= goal, PATIENCE_S)

    def told(self, outcome, origin):
        """Offer a class set or an error to the stream, and return the event that it makes of it."""
        with self._changed:
            goal = len(self.events) + 1
            self._stream.offer(outcome, origin)
            assert self._changed.wait_for(lambda: len(self.events) >= goal, PATIENCE_S)
            return self.events[-1]

    def frame(self, frame, recognition):
        with self._changed:
            self.answered += 1
            self.digests.add(recognition.classes)
            self._changed.notify_all()

    def event(self, event):
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def close(self):
        """Nothing is held."""


@contextmanager
def stream_beside(bundle, classes):
    """Run a stream that answers by `classes` until the block ends."""
    stream = StreamBeside(bundle, classes)
    stream._thread.start()
    try:
        assert stream.still_answers()
        yield stream
    finally:
        stream._stream.stop()
        stream._thread.join()
