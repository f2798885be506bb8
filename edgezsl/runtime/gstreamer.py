"""GStreamer pipelines as sources: inside OpenCV where it was built with GStreamer, else `gst-launch-1.0` and a pipe.

The pipeline is the user's own and is never given to a shell. It ends in RGB or BGR frames that we take, newest first;
what it does before is its own affair: a pipeline over a file runs as fast as it can unless it holds `clocksync` or
`identity sync=true`. A pipeline that changes its frame size on the way is lost: the pipe carries no sizes.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import select
import shlex
import shutil
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import Place, SourceError, SourceLostError, shown
from edgezsl.runtime.sources import Frame, FrameSource, Pace, hide_secrets, public_name, refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROGRAM = "gst-launch-1.0"
_APPSINK = re.compile(r"!\s*appsink\b[^!]*$")
_INTO_OPENCV = "! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
_INTO_PIPE = "! videoconvert ! video/x-raw,format=RGB ! fdsink name=edgezsl fd={fd}"
_CAPS = re.compile(r"GstFdSink:edgezsl\.GstPad:sink: caps = .*width=\(int\)(\d+), height=\(int\)(\d+)")
_PIPE_BYTES = 2**20  # what Linux lets anybody ask for
_ROW_ALIGNMENT = 4  # bytes: GStreamer pads each row of RGB to it
_MOST_COMPLAINTS = 3
_ARGUS = 'no element "nvarguscamerasrc"'  # how GStreamer says that it is missing
_NO_ARGUS = "a CSI camera needs a Jetson: this element comes with JetPack"
_DEATH_S = 5.0  # for a killed child to be gone


def csi_pipeline(uri: str) -> str:
    """Return the pipeline that reads a Jetson's CSI camera, for `csi://0`.

    Written after NVIDIA's documentation of `nvarguscamerasrc`; it has not run on hardware yet.

    Raises:
        SourceError: When the URI does not end in the sensor's number.
    """
    sensor = uri.removeprefix("csi:").lstrip("/")
    if not (sensor.isascii() and sensor.isdecimal()):
        name = public_name(uri)
        given = shown(name.removeprefix("csi:").lstrip("/"))
        raise refused(name, f"{given} is no sensor number", code="bad_url", expected="csi://0, csi://1, …")
    return f"nvarguscamerasrc sensor-id={int(sensor)} ! video/x-raw(memory:NVMM) ! nvvidconv ! video/x-raw,format=BGRx"


def open_pipeline(pipeline: str, *, name: str, timeout_s: float) -> FrameSource:
    """Run a GStreamer pipeline and wait for its first frame.

    Args:
        pipeline: As for `gst-launch-1.0`; without a sink, or with an `appsink` at its end.
        name: What the source is called.
        timeout_s: How long the pipeline may be silent, in seconds.

    Raises:
        SourceError: When the pipeline cannot be parsed or run, or nothing here can run one.
        SourceLostError: When it gives no frame in time.
    """
    from edgezsl.runtime.opencv import open_pipeline_in_opencv, opencv_has_gstreamer

    if opencv_has_gstreamer():
        whole = pipeline if _APPSINK.search(pipeline) else f"{pipeline} {_INTO_OPENCV}"
        return open_pipeline_in_opencv(whole, name=name, timeout_s=timeout_s)
    if shutil.which(PROGRAM):
        return PipeSource.open(pipeline, name=name, timeout_s=timeout_s)
    raise refused(
        name,
        f"this needs GStreamer: OpenCV (from 4.7) was built without it, and there is no program {PROGRAM!r}",
        code="no_gstreamer",
        hint="run: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
    )


class PipeSource:
    """A source that reads raw frames from a `gst-launch-1.0` child.

    Args:
        child: Running; says on its standard output which caps its last pad has.
        frames: The pipe's reading end, raw RGB rows.
        name: The URI without credentials.
        timeout_s: How long the child may be silent, in seconds.
    """

    def __init__(self, child: subprocess.Popen[bytes], frames: int, *, name: str, timeout_s: float) -> None:
        assert child.stdout is not None  # noqa: S101  # for mypy: open() gives it a pipe
        self.name = name
        self.pace: Pace = "live"
        self._child = child
        self._frames = frames
        self._said = child.stdout.fileno()
        self._timeout_s = timeout_s
        self._size: tuple[int, int] | None = None  # height and width
        self._partial = b""  # of a line
        self._complaints: deque[str] = deque(maxlen=_MOST_COMPLAINTS)
        self._first: Frame | None = None
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, pipeline: str, *, name: str, timeout_s: float) -> PipeSource:
        """Start the child and wait for its first frame.

        Raises:
            SourceError: When the pipeline cannot be split into words, or the child ends before its first frame.
            SourceLostError: When no frame comes in time.
        """
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):  # a small pipe is slower, no more
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            words = shlex.split(f"{_APPSINK.sub('', pipeline)} {_INTO_PIPE.format(fd=writing)}")
            child = subprocess.Popen(
                [PROGRAM, "-v", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        except (ValueError, OSError) as cause:
            os.close(reading)
            raise refused(name, f"the pipeline cannot be started ({cause})", code="bad_pipeline") from cause
        finally:
            os.close(writing)
        atexit.register(child.kill)  # a child that writes nothing does not notice that its reader has gone
        source = cls(child, reading, name=name, timeout_s=timeout_s)
        with contextlib.ExitStack() as opened:
            opened.callback(source.close)
            source._first = source.read()
            if source._first is None:
                raise source._failed("the pipeline ended before its first frame", SourceError)
            opened.pop_all()
        return source

    def read(self) -> Frame | None:
        """Return the next frame, or None after the pipeline's end of stream.

        Raises:
            SourceError: When the pipeline fails before its first frame.
            SourceLostError: When it fails later, goes silent, or changes its frame size.
        """
        with self._lock:
            if self._closed:
                return None
            if self._first is not None:
                first, self._first = self._first, None
                return first
            deadline = time.monotonic() + self._timeout_s
            while self._size is None:
                if not self._wait(deadline, frames=False):
                    self._check_exit()
                    return None
            image = self._image(deadline)
            if image is None:
                return None
            frame = Frame(image, self._count, time.time(), None)
            self._count += 1
            return frame

    def close(self) -> None:
        """End the child and wait for its death; a second call does nothing."""
        self._closed = True
        if self._child.poll() is None:
            self._child.kill()  # a read in another thread sees the pipe end, and lets the lock go
        with self._lock:
            if self._frames < 0:
                return
            os.close(self._frames)
            self._frames = -1
            if self._child.stdout is not None:
                self._child.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_DEATH_S)
            atexit.unregister(self._child.kill)

    def _image(self, deadline: float) -> NDArray[np.uint8] | None:
        height, width = self._size or (0, 0)
        stride = -(-3 * width // _ROW_ALIGNMENT) * _ROW_ALIGNMENT
        rows = np.empty((height, stride), np.uint8)
        buffer, got = rows.data.cast("B"), 0
        while got < len(buffer):
            if not self._wait(deadline, frames=True):
                continue
            fresh = os.readv(self._frames, [buffer[got:]])
            if not fresh:
                self._check_exit()
                return None
            got += fresh
        return np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)

    def _wait(self, deadline: float, *, frames: bool) -> bool:
        """Wait for the child and take in what it says.

        Returns:
            With `frames`: whether the pipe has pixels, or has ended. Without: whether the child is still talking.
        """
        wanted = [self._frames, self._said] if frames else [self._said]
        left_s = deadline - time.monotonic()
        ready, _, _ = select.select(wanted, [], [], max(0.0, left_s))
        if not ready or left_s < 0:
            raise self._failed(f"the pipeline gave no frame for {self._timeout_s:g} s", SourceLostError, code="silent")
        if self._said in ready:
            said = os.read(self._said, 2**16)
            if not said and not frames:
                return False
            self._take_in(said)
        return not frames or self._frames in ready

    def _take_in(self, said: bytes) -> None:
        *lines, self._partial = (self._partial + said).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if found := _CAPS.search(text):
                size = int(found[2]), int(found[1])
                if self._size not in (None, size):
                    raise self._failed(
                        f"the pipeline changed its frames from {self._size} to {size} (height, width)", SourceLostError
                    )
                self._size = size
            elif text.startswith(("ERROR", "WARNING")):
                self._complaints.append(hide_secrets(text))

    def _check_exit(self) -> None:
        """Tell a failure from the end of the stream, by how the child exits."""
        try:
            status = self._child.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            status = -1
        while select.select([self._said], [], [], 0)[0] and (said := os.read(self._said, 2**16)):
            self._take_in(said)
        if status and not self._closed:
            raise self._failed("the pipeline failed", SourceLostError if self._count else SourceError)

    def _failed(
        self, message: str, error: type[SourceError | SourceLostError], code: str = "bad_pipeline"
    ) -> SourceError | SourceLostError:
        reason = f": {' | '.join(self._complaints)}" if self._complaints else ""
        hint = _NO_ARGUS if _ARGUS in reason else f"try it with {PROGRAM} -v"
        return error(f"{message}{reason}", code=code, where=Place(self.name), hint=hint)
