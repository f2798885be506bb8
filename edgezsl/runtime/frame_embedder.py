"""The engine's thread: embeds one frame while the one before is scored, ranked and written.

An engine runs outside Python's lock, so that on two cores it need not wait for what follows it
(docs/adr/0008-three-threads.md has what that is worth). It holds one embedded frame ready and no
more. Where what follows takes longer than the engine, it takes the next frame that much later, so that the newest frame
is embedded just in time.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.errors import EngineError
from edgezsl.runtime.events import FrameSkipped, SourceChanged
from edgezsl.runtime.sources import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.runtime.reader import FrameReader

_JOIN_S = 10.0
_POLL_S = 0.1  # how long the thread waits for a frame before it looks whether it should stop


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFrame:
    """A frame and its embeddings.

    Attributes:
        frame: The frame.
        embeddings: `(N, D)` float32, one for each region.
    """

    frame: Frame
    embeddings: NDArray[np.float32]


class FrameEmbedder:
    """Embeds the newest frames of a reader in a thread of its own.

    Args:
        reader: Gives the frames; started and closed with this.
        embed: Turns a frame into embeddings `(N, D)`.
    """

    def __init__(self, reader: FrameReader, embed: Callable[[Frame], NDArray[np.float32]]) -> None:
        self._reader = reader
        self._embed = embed
        self._changed = threading.Condition()
        self._slot: EmbeddedFrame | SourceChanged | FrameSkipped | Exception | None = None
        self._awaited = False  # whether somebody waits in `poll`, and will take what comes at once
        self._stopping = False
        self._taken_s = 0.0  # when the last frame was taken
        self._answering_s = 0.0  # how long whoever took it was busy with it
        self._embedding_s = 0.0  # how long the engine was with its last frame
        # A daemon, as its reader's: an engine that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"edgezsl[{reader.name}].engine", daemon=True)

    def start(self) -> None:
        """Start reading and embedding."""
        self._reader.start()
        self._thread.start()

    def poll(self, timeout_s: float) -> EmbeddedFrame | SourceChanged | FrameSkipped | None:
        """Return the next embedded frame, or what has happened to the source, or None after `timeout_s` without either.

        A `source_ended` is the last thing that is returned.

        Raises:
            SourceLostError: When the source went silent, or its reader died.
            SourceError: When the source could not be opened.
            EngineError: When the engine failed.
        """
        with self._changed:
            self._awaited = True
            if self._taken_s:
                self._answering_s, self._taken_s = time.monotonic() - self._taken_s, 0.0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._slot is not None, timeout_s)
            self._awaited = False
            item, self._slot = self._slot, None
            if isinstance(item, EmbeddedFrame):
                self._taken_s = time.monotonic()
            self._changed.notify_all()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Stop after the frame at hand, and close the reader. An engine that does not return in 10 s is left behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                item = self._next()
                if isinstance(item, Frame):
                    start = time.monotonic()
                    embeddings = self._embed(item)
                    self._embedding_s = time.monotonic() - start
                    self._hand_over(EmbeddedFrame(item, embeddings))
                elif item is not None:
                    self._hand_over(item)
                    if isinstance(item, SourceChanged) and item.type == "source_ended":
                        return
        except BaseException as fault:  # noqa: BLE001  # the seam of this thread: whoever polls raises it
            self._hand_over(fault if isinstance(fault, Exception) else _ended(fault))

    def _next(self) -> Frame | SourceChanged | FrameSkipped | None:
        """Return what the reader has, no sooner than it can be answered when it is embedded."""
        with self._changed:
            early_s = self._answering_s - self._embedding_s
            if early_s > 0:
                self._changed.wait_for(lambda: (self._awaited and self._slot is None) or self._stopping, early_s)
        return self._reader.poll(_POLL_S)

    def _hand_over(self, item: EmbeddedFrame | SourceChanged | FrameSkipped | Exception) -> None:
        """Put `item` into the slot, and wait until it is taken, or sure to be."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot is None or self._stopping)
            self._slot = item
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._slot is None or self._awaited or self._stopping)


def _ended(cause: BaseException) -> EngineError:
    """Return the error for what is no ordinary exception: a runtime in Rust that panics, or one that exits."""
    fault = EngineError(f"the engine ended its thread ({cause!r})", code="run_failed")
    fault.__cause__ = cause
    return fault
