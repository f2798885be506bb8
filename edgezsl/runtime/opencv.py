"""Sources that OpenCV captures: cameras, network streams, video files, and pipelines where it has GStreamer.

Frames leave here as RGB. What OpenCV does not tell cannot be told here either: a stream that changes its resolution is
scaled to the first one, a video file that is cut off ends early, and both without a word.
"""

from __future__ import annotations

import math
import os
import socket
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edgezsl.errors import Place, SourceLostError, missing_extra, shown
from edgezsl.runtime.sources import USUAL_RATE, Frame, Pace, hide_secrets, refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FASTEST = 1000.0  # frames a second; a file that claims more has no frame rate
_FILE_TIMEOUT_S = 30.0  # a network folder may be slow
_OLDEST_GSTREAMER = (4, 7)  # before it OpenCV's GStreamer part has no time-outs: a wrong pipeline hangs for ever
_SILENCE = 0.95  # of the time-out: OpenCV's clock and ours differ a little
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_ENCODE = "write %23 for #, %2F for /, %3F for ? and %40 for @ in a user's name and a password"
_QUIET = "-8"  # FFmpeg's AV_LOG_QUIET


def opencv(purpose: str) -> Any:
    """Return the module `cv2`, told to be silent: what it cannot open or read is an error of ours.

    Raises:
        MissingExtraError: When it is not installed.
    """
    try:
        import cv2
    except ImportError as cause:
        raise missing_extra("cv2", "camera", purpose, cause) from cause
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def open_camera(path: str, *, name: str, timeout_s: float) -> CaptureSource:
    """Open a Video4Linux camera and wait for its first frame.

    Args:
        path: The device, such as `/dev/video0`.
        name: What the source is called.
        timeout_s: How long the camera may be silent, in seconds; OpenCV counts whole ones.

    Raises:
        SourceError: When there is no such device, it may not be used, or it is no camera.
        SourceLostError: When the camera gives no frame in time.
        MissingExtraError: When OpenCV is not installed.
    """
    _check_device(path, name)
    cv2 = opencv("a camera")
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(timeout_s)))  # 10 s unless told
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise refused(
            name,
            f"{hide_secrets(path)} is no camera that can be used",
            code="not_a_camera",
            hint="check that no other program uses it, and run: edgezsl doctor",
        )
    return CaptureSource(capture, name=name, pace="live", timeout_s=timeout_s).with_first()


def open_stream(uri: str, *, name: str, timeout_s: float, as_fast_as_possible: bool) -> CaptureSource:
    """Open a network stream and wait for its first frame.

    A video file behind `http://` is a file, not a stream: it keeps its own pace and ends.

    Args:
        uri: `rtsp://` or `http://` with MJPEG or a video.
        name: What the source is called.
        timeout_s: How long the server may be silent, in seconds.
        as_fast_as_possible: Whether a file waits for its reader.

    Raises:
        SourceError: When the URI is no URL or has no host.
        SourceLostError: When the server does not answer, refuses, or gives no video.
        MissingExtraError: When OpenCV is not installed.
    """
    host, port = _address(uri, name)
    cv2 = opencv("a stream")
    capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, _timeouts(cv2, timeout_s))
    if not capture.isOpened():
        if "@" in "".join(urlsplit(uri)[2:]):  # after the host: what looks like host and port may be user and password
            message, hint = "the server does not answer or gives no video", _ENCODE
        else:
            message, hint = _why_silent(host, port, timeout_s), "check that the server runs, the path and the password"
        raise SourceLostError(message, code="no_connection", where=Place(name), hint=hint)
    pace: Pace = "live"
    if uri.startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        pace = "waiting" if as_fast_as_possible else "timed"
    return CaptureSource(capture, name=name, pace=pace, timeout_s=timeout_s).with_first()


def open_video(path: str, *, name: str, waiting: bool) -> CaptureSource:
    """Open a video file and decode its first frame.

    Args:
        path: The file, which can be read.
        name: What the source is called.
        waiting: Whether the file waits for its reader instead of keeping its own pace.

    Raises:
        SourceError: When the file is no video, or its first frame cannot be decoded.
        MissingExtraError: When OpenCV is not installed.
    """
    cv2 = opencv("a video")
    # An absolute path: FFmpeg would read `concat:a` or `-` as something else.
    capture = cv2.VideoCapture(str(Path(path).absolute()), cv2.CAP_FFMPEG, _timeouts(cv2, _FILE_TIMEOUT_S))
    pace: Pace = "waiting" if waiting else "timed"
    return CaptureSource(capture, name=name, pace=pace, timeout_s=_FILE_TIMEOUT_S).with_first()


def open_pipeline_in_opencv(pipeline: str, *, name: str, timeout_s: float) -> CaptureSource:
    """Run a GStreamer pipeline inside OpenCV and wait for its first frame.

    OpenCV does not tell a pipeline that failed from one that ended: after the first frame, both are an end.

    Args:
        pipeline: With an `appsink` at its end that takes BGR.
        name: What the source is called.
        timeout_s: How long the pipeline may be silent, in seconds.

    Raises:
        SourceError: When GStreamer refuses the pipeline, or it ends before its first frame.
        SourceLostError: When it gives no frame in time.
        MissingExtraError: When OpenCV is not installed.
    """
    cv2 = opencv("a pipeline")
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, _timeouts(cv2, timeout_s))
    if not capture.isOpened():
        raise refused(
            name,
            "GStreamer cannot run the pipeline",
            code="bad_pipeline",
            hint="run it with gst-launch-1.0 and fakesink at its end: it says why",
        )
    return CaptureSource(capture, name=name, pace="live", timeout_s=timeout_s, may_end=True).with_first()


def opencv_has_gstreamer() -> bool:
    """Return whether OpenCV is installed, was built with GStreamer (pip's was not), and obeys time-outs there."""
    try:
        import cv2
    except ImportError:
        return False
    version = tuple(int(part) for part in cv2.__version__.split(".")[:2])
    lines = (line.split() for line in cv2.getBuildInformation().splitlines())
    return version >= _OLDEST_GSTREAMER and any(line[:2] == ["GStreamer:", "YES"] for line in lines)


class CaptureSource:
    """A source around a `cv2.VideoCapture`.

    Args:
        capture: The capture; the source releases it.
        name: The URI without credentials.
        pace: Who sets the speed.
        timeout_s: How long the source may be silent, in seconds.
        may_end: Whether a live source that ends without having been silent has come to its end, and is not lost.
    """

    def __init__(self, capture: Any, *, name: str, pace: Pace, timeout_s: float, may_end: bool = False) -> None:
        self._cv2 = opencv("a source")
        self._capture = capture
        self._timeout_s = timeout_s
        self._may_end = may_end or pace != "live"
        self._first: Frame | None = None
        self._count = 0
        self._media_time = -1.0
        self._closed = False
        self._lock = threading.Lock()  # releasing a capture while another thread reads it ends the process
        self.name = name
        self.pace = pace
        rate = capture.get(self._cv2.CAP_PROP_FPS)
        self._fps = rate if 0 < rate < _FASTEST else None

    def with_first(self) -> CaptureSource:
        """Return this source once it has given a frame, which the first `read` will return.

        Raises:
            SourceError: When there is nothing to decode; the source is closed then.
            SourceLostError: When the source is silent, or a live one ends that may not; it is closed then.
        """
        try:
            self._first = self.read()
            if self._first is None and self.pace == "live":
                raise refused(self.name, "the pipeline ended before its first frame", code="bad_pipeline")
            if self._first is None:
                raise refused(
                    self.name, "no video in it can be decoded", code="not_a_video", expected="a video or an image"
                )
        finally:
            if self._first is None:
                self.close()
        return self

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last of a file or a pipeline.

        Raises:
            SourceLostError: When the source goes silent, or a live one ends that may not.
        """
        with self._lock:
            if self._closed:
                return None
            if self._first is not None:
                first, self._first = self._first, None
                return first
            started = time.monotonic()
            image = self._grab()
            silent = time.monotonic() - started >= _SILENCE * self._timeout_s
            # After its time-out FFmpeg hands out the frames that its decoder still held, one for each more time-out.
            if silent or (image is None and not self._may_end):
                raise self._lost(silent=silent)
            if image is None:
                return None
            frame = Frame(image, self._count, time.time(), self._due())
            self._count += 1
            return frame

    def close(self) -> None:
        """Release the capture, once a read in another thread has ended; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._first = None
            self._capture.release()

    def _grab(self) -> NDArray[np.uint8] | None:
        try:
            given, image = self._capture.read()
            return self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB) if given else None
        except self._cv2.error:
            return None

    def _due(self) -> float | None:
        if self.pace == "live":
            return None
        said = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        if math.isfinite(said) and said > self._media_time:
            self._media_time = said
        else:  # containers without timestamps, and broken ones
            step = 1 / (self._fps or USUAL_RATE)
            self._media_time = self._media_time + step if self._count else 0.0
        return self._media_time

    def _lost(self, *, silent: bool) -> SourceLostError:
        return SourceLostError(
            f"the source gave no frame for {self._timeout_s:g} s" if silent else "the source ended",
            code="silent" if silent else "ended",
            where=Place(self.name),
            hint="check the camera or the server, then start again",
        )


def _timeouts(cv2: Any, timeout_s: float) -> list[int]:
    limit = max(1, round(1000 * timeout_s))
    return [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]


def _check_device(path: str, name: str) -> None:
    public = hide_secrets(path)
    try:
        mode = Path(path).stat().st_mode
    except OSError as cause:
        found = sorted(str(device) for device in Path("/dev").glob("video*"))
        raise refused(
            name,
            f"there is no camera at {shown(public)}",
            code="no_such_camera",
            expected=f"one of {', '.join(found)}" if found else None,
            hint=None if found else "connect a camera; none is there",
        ) from cause
    if not stat.S_ISCHR(mode):
        raise refused(name, f"{public} is no device", code="not_a_camera", expected="a device such as /dev/video0")
    if not os.access(path, os.R_OK | os.W_OK):
        raise refused(
            name,
            f"this user may not use {public}",
            code="no_permission",
            hint="run: sudo usermod -aG video $USER, and log in again",
        )


def _address(uri: str, name: str) -> tuple[str, int]:
    expected = "scheme://host:port/path"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        # Neither its text nor itself goes on: it quotes what stands in the port's place, and that may be a password.
        raise refused(name, "this is no URL", code="bad_url", expected=expected, hint=_ENCODE) from None
    if not host:
        raise refused(name, "the URL has no host", code="bad_url", expected=expected)
    return host, port


def _why_silent(host: str, port: int, timeout_s: float) -> str:
    """Return, in one clause, what a plain connection to the server says; OpenCV does not say."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except (OSError, UnicodeError) as cause:  # Unicode: a name that can be no host's
        return f"{host} port {port} does not answer ({getattr(cause, 'strerror', None) or cause})"
    return f"{host} port {port} answers, and gives no video"
