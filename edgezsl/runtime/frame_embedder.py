"""The engine's thread: embeds one frame while the one before is scored, ranked and written.

An engine runs outside Python's lock, so that on two cores it need not wait for what follows it: on a MobileNetV2 of
9 ms this is worth 4% of the rate, on slower cores with faster engines more. It holds one embedded frame ready and no
more: where what follows is slower than the engine, frames wait unembedded, and the newest of them wins.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.runtime.events import SourceChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.runtime.reader import FrameReader
    from edgezsl.runtime.sources import Frame

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
        self._slot: EmbeddedFrame | SourceChanged | Exception | None = None
        self._awaited = False  # whether somebody waits in `poll`, and will take what comes at once
        self._stopping = False
        # A daemon, as its reader's: an engine that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"edgezsl[{reader.name}].engine", daemon=True)

    def start(self) -> None:
        """Start reading and embedding."""
        self._reader.start()
        self._thread.start()

    def poll(self, timeout_s: float) -> EmbeddedFrame | SourceChanged | None:
        """Return the next embedded frame, or what has happened to the source, or None after `timeout_s` without either.

        A `source_ended` is the last thing that is returned.

        Raises:
            SourceLostError: When the source went silent, or its reader died.
            SourceError: When the source could not be opened.
            EngineError: When the engine failed.
        """
        with self._changed:
            self._awaited = True
            self._changed.wait_for(lambda: self._slot is not None, timeout_s)
            self._awaited = False
            item, self._slot = self._slot, None
            self._changed.notify_all()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Stop after the frame at hand, and close the reader."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                item = self._reader.poll(_POLL_S)
                if isinstance(item, SourceChanged):
                    self._hand_over(item)
                    if item.type == "source_ended":
                        return
                elif item is not None:
                    self._hand_over(EmbeddedFrame(item, self._embed(item)))
        except Exception as fault:  # noqa: BLE001  # the seam of this thread: whoever polls raises it
            self._hand_over(fault)

    def _hand_over(self, item: EmbeddedFrame | SourceChanged | Exception) -> None:
        """Put `item` into the slot, and wait until it is taken, or sure to be."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot is None or self._stopping)
            self._slot = item
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._slot is None or self._awaited or self._stopping)
