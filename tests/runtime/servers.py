"""Real servers on the loopback interface, for tests of network sources: MJPEG over HTTP, and RTSP.

The RTSP server is this very file, run by the system's Python, to which the Debian packages below belong.
"""

from __future__ import annotations

import contextlib
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the tests marked `network` need, for `apt-get install --no-install-recommends`.
APT_PACKAGES = (
    "gstreamer1.0-tools",  # gst-launch-1.0
    "gstreamer1.0-plugins-base",  # videotestsrc, videoconvert, fdsink
    "gstreamer1.0-plugins-good",  # jpegenc, rtpjpegpay, rtpmanager
    "gstreamer1.0-plugins-ugly",  # x264enc
    "gir1.2-gst-rtsp-server-1.0",
    "python3-gi",
    "xvfb",  # a display without a screen, for the window
    "systemd",  # systemd-analyze, for the service's unit
)
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SIZE = (240, 320)  # height, width
_HAS_RTSP = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_RTSP_PIPELINE = (
    "( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 "
    "! x264enc tune=zerolatency key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)

Ending = Literal["steady", "stall", "close"]


@contextlib.contextmanager
def mjpeg_server(pictures: list[bytes], ending: Ending = "steady") -> Iterator[str]:
    """Serve JPEG pictures as multipart/x-mixed-replace, and give the URL.

    `steady` starts again after the last picture, `stall` then keeps the connection open in silence, `close` closes it.
    """
    stopping = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    for picture in pictures:
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                        stopping.wait(0.02)
                    if ending != "steady" or stopping.is_set():
                        break
                if ending == "stall":
                    stopping.wait()

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    yield from _serving(Handler, stopping)


@contextlib.contextmanager
def file_server(path: Path) -> Iterator[str]:
    """Serve one file, byte ranges aside, and give its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    yield from _serving(Handler, threading.Event())


def _serving(handler: type[http.server.BaseHTTPRequestHandler], stopping: threading.Event) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/camera"
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def has_rtsp() -> bool:
    """Return whether this machine can run the RTSP server."""
    if not Path(SYSTEM_PYTHON).exists() or shutil.which("gst-launch-1.0") is None:
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", _HAS_RTSP], capture_output=True, check=False).returncode == 0


class RtspServer:
    """A camera behind RTSP, in a process of its own, that can be killed or frozen."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([SYSTEM_PYTHON, __file__], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"rtsp://user:secret@127.0.0.1:{int(self.process.stdout.readline())}/camera"

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def display() -> Iterator[str]:
    """Run an X server without a screen, and give the value for DISPLAY."""
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f":{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _serve_rtsp() -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_RTSP_PIPELINE)
    factory.set_shared(True)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    _serve_rtsp()
