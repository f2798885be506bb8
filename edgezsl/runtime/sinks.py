"""Where answers go: lines of JSON, an annotated film, a window.

A sink takes every answer, good or bad, and fails only when it cannot write. It does not queue: the stream waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edgezsl.errors import Place, SinkError, missing_extra
from edgezsl.runtime.overlay import annotated
from edgezsl.runtime.sources import USUAL_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.runtime.events import Event, Recognition
    from edgezsl.runtime.sources import Frame

STANDARD_OUTPUT = "-"
_LINES = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)  # made once: `json.dumps` would make one a line
_ASCII_LINES = json.JSONEncoder(separators=(",", ":"))
_LEAST_FREE = 2**20  # bytes on the disk of a film: OpenCV does not say when there are none
_LONGEST_REPEAT = 10.0  # seconds for which a film shows a frame that no newer one followed
_TITLE = "edgezsl"
_WINDOW_TRIAL = f"import cv2; cv2.namedWindow({_TITLE!r}); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_TIMEOUT_S = 20.0
_QUIT_KEYS = frozenset({ord("q"), ord("Q"), 27})  # 27: escape


class Sink(Protocol):
    """Takes what a stream says."""

    def frame(self, frame: Frame, answer: Recognition) -> None:
        """Take a frame and its answer.

        Raises:
            SinkError: When it cannot be written.
        """

    def event(self, event: Event) -> None:
        """Take what happened between two frames.

        Raises:
            SinkError: When it cannot be written.
        """

    def close(self) -> None:
        """Finish what was written; a second call does nothing."""


class JsonLinesSink:
    """Writes each answer and event as one line of JSON, at once.

    Args:
        stream: Where to write.
        name: What it is called in an error.
        owned: Whether `close` closes it.
    """

    def __init__(self, stream: TextIO, name: str, *, owned: bool) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned

    @classmethod
    def open(cls, path: str, *, standard_output: TextIO) -> JsonLinesSink:
        """Open a file for appending, or take `standard_output` for the path `-`.

        Raises:
            SinkError: When the file cannot be written.
        """
        if path == STANDARD_OUTPUT:
            return cls(standard_output, "standard output", owned=False)
        try:
            return cls(Path(path).open("a", encoding="utf-8"), path, owned=True)
        except OSError as cause:
            raise _unwritable(path, cause) from cause

    def frame(self, frame: Frame, answer: Recognition) -> None:  # noqa: ARG002  # a line needs no pixels
        """Write the line of an answer.

        Raises:
            SinkError: When the disk is full, the reader of a pipe has gone, or the like.
        """
        self._write(answer.to_json())

    def event(self, event: Event) -> None:
        """Write the line of an event.

        Raises:
            SinkError: When the disk is full, the reader of a pipe has gone, or the like.
        """
        self._write(event.to_json())

    def close(self) -> None:
        """Close the file; each line is already written."""
        if self._owned:
            with contextlib.suppress(OSError):  # a line that could not be written was reported by its own write
                self._stream.close()

    def _write(self, value: dict[str, Any]) -> None:
        try:
            try:
                self._stream.write(_LINES.encode(value) + "\n")
            except UnicodeEncodeError:  # a terminal without UTF-8, or a file name that is not UTF-8
                self._stream.write(_ASCII_LINES.encode(value) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as cause:
            raise _unwritable(self._name, cause) from cause


class VideoSink:
    """Writes frames with their answers drawn in as an MP4 film, at the speed of the source.

    A frame stands until the next one is due, up to ten seconds. Frames that come faster than `fps` are left
    out, but no picture of a folder is. A frame of another size than the first is fitted into it. A process that is
    killed leaves a film that no player opens.

    Args:
        path: The file, which can be written.
        fps: Frames a second of the film.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._writer: Any = None
        self._size = (0, 0)  # height, width
        self._started = 0.0
        self._newest: float | None = None  # when the last frame was due
        self._written = 0
        self._last: NDArray[np.uint8] | None = None
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, fps: float = USUAL_RATE) -> VideoSink:
        """Check that a film can be written at `path`; a file there is replaced with the first frame.

        Args:
            path: Ends in `.mp4`.
            fps: Frames a second.

        Raises:
            SinkError: When the name does not end in `.mp4` or the file cannot be written.
            MissingExtraError: When OpenCV is not installed.
        """
        _opencv("writing a film")
        name = str(path)
        if path.suffix.lower() != ".mp4" or not name.isprintable():  # OpenCV crashes on bytes that are not UTF-8
            raise SinkError(
                f"a film cannot be called {path.name!a}",
                code="bad_name",
                where=Place(ascii(name)[1:-1]),
                expected="a name that ends in .mp4",
            )
        try:
            path.open("ab").close()
        except OSError as cause:
            raise _unwritable(name, cause) from cause
        return cls(path, fps=fps)

    def frame(self, frame: Frame, answer: Recognition) -> None:
        """Add a frame to the film, unless it stands nearer to the last one than the film's pictures stand.

        Raises:
            SinkError: When the disk is full or OpenCV cannot write the film.
        """
        place = self._place_of(frame.time if frame.media_time is None else frame.media_time)
        if self._closed or (place < self._written and frame.file is None):
            return
        cv2 = _opencv("writing a film")
        if shutil.disk_usage(self._path.parent).free < _LEAST_FREE:
            raise _unwritable(str(self._path), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if self._writer is None:
            self._begin(cv2, frame.image.shape)
        self._repeat_until(place)
        self._last = cv2.cvtColor(_fitted(cv2, annotated(frame.image, answer), self._size), cv2.COLOR_RGB2BGR)
        self._writer.write(self._last)
        self._written += 1

    def event(self, event: Event) -> None:
        """Do nothing: a film shows answers only."""

    def close(self) -> None:
        """Finish the film; without one frame no file is left."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.release()
        elif self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()

    def _begin(self, cv2: Any, shape: tuple[int, ...]) -> None:
        height, width = (max(2, side - side % 2) for side in shape[:2])  # the codec takes even sizes only
        self._size = height, width
        self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter_fourcc(*"mp4v"), self._fps, (width, height))
        if not self._writer.isOpened():
            raise SinkError(
                f"OpenCV cannot write a film of {width} x {height} pixels",
                code="no_encoder",
                where=Place(str(self._path)),
                hint="install an OpenCV with FFmpeg, or leave --video out",
            )

    def _place_of(self, due_s: float) -> int:
        """Return which picture of the film a frame would be, from 0."""
        if self._newest is None:
            self._started = self._newest = due_s
        self._started -= max(0.0, self._newest - due_s)  # a clock that was set back: the film goes on
        self._newest = due_s
        return round((due_s - self._started) * self._fps)

    def _repeat_until(self, place: int) -> None:
        missing = place - self._written
        cut = max(0, missing - round(_LONGEST_REPEAT * self._fps))  # a source that was silent for long: cut it out
        self._started += cut / self._fps
        for _ in range(missing - cut):
            self._writer.write(self._last)
            self._written += 1


class WindowSink:
    """Shows frames with their answers drawn in; `q`, escape or closing the window asks to stop.

    Args:
        on_quit: Called once, when the person at the window wants the stream to end.

    Attributes:
        stop_requested: Whether that has happened.
    """

    def __init__(self, on_quit: Callable[[], None] = lambda: None) -> None:
        self._on_quit = on_quit
        self._shown = False
        self.stop_requested = False

    @classmethod
    def open(cls, *, on_quit: Callable[[], None] = lambda: None) -> WindowSink:
        """Check that a window can be shown here.

        OpenCV ends the whole process where its window library finds no display, so a child tries it first.

        Raises:
            SinkError: When there is no display, or OpenCV was built without windows.
            MissingExtraError: When OpenCV is not installed.
        """
        _opencv("showing a window")
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise _no_window("neither DISPLAY nor WAYLAND_DISPLAY is set")
        try:
            trial = subprocess.run(
                [sys.executable, "-c", _WINDOW_TRIAL], capture_output=True, check=False, timeout=_TRIAL_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as cause:
            raise _no_window(f"a trial window did not open ({type(cause).__name__})") from cause
        if trial.returncode:
            lines = trial.stderr.decode("utf-8", "replace").strip().splitlines()
            raise _no_window(lines[-1] if lines else f"a trial window ended with status {trial.returncode}")
        return cls(on_quit)

    def frame(self, frame: Frame, answer: Recognition) -> None:
        """Show a frame.

        Raises:
            SinkError: When the window cannot be shown any more.
        """
        if self.stop_requested:
            return
        cv2 = _opencv("showing a window")
        try:
            if self._shown and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                self._quit()
                return
            if not self._shown:
                cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(_TITLE, frame.image.shape[1], frame.image.shape[0])
                self._shown = True
            cv2.imshow(_TITLE, cv2.cvtColor(annotated(frame.image, answer), cv2.COLOR_RGB2BGR))
            if (cv2.waitKey(1) & 0xFF) in _QUIT_KEYS:
                self._quit()
        except cv2.error as cause:
            raise _no_window(str(cause)) from cause

    def event(self, event: Event) -> None:
        """Do nothing: the window shows answers only."""

    def close(self) -> None:
        """Close the window; a second call does nothing."""
        if self._shown:
            self._shown = False
            cv2 = _opencv("closing a window")
            cv2.destroyAllWindows()

    def _quit(self) -> None:
        self.stop_requested = True
        self._on_quit()


def _fitted(cv2: Any, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return `image` scaled to fit into `size` (height, width), with black beside it."""
    if image.shape[:2] == size:
        return image
    import numpy as np

    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, min(side, round(scale * old))) for side, old in zip(size, image.shape[:2], strict=True))
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


def _opencv(purpose: str) -> Any:
    try:
        import cv2
    except ImportError as cause:
        raise missing_extra("cv2", "camera", purpose, cause) from cause
    return cv2


def _unwritable(path: str, cause: OSError | ValueError) -> SinkError:
    reason = getattr(cause, "strerror", None) or cause
    return SinkError(
        f"it cannot be written ({reason})",
        code="disk_full" if getattr(cause, "errno", None) == errno.ENOSPC else "unwritable",
        where=Place(path),
        hint="free some space or choose another place",
    )


def _no_window(reason: str) -> SinkError:
    return SinkError(
        f"no window can be shown: {reason}",
        code="no_window",
        hint="run it in a graphical session with opencv-python (not headless), or write --video FILE instead",
    )
