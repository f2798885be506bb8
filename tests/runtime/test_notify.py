"""What `edgezsl run` says to systemd, on real sockets: in which order, how often, and what it does not say."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from edgezsl.errors import InputError
from edgezsl.runtime.events import Recognition
from edgezsl.runtime.notify import PINGS_PER_TIMEOUT, ServiceSink
from tests.factories import colour_frame
from tests.runtime.servers import mjpeg_server

WATCHDOG_S = 0.9
ENDLESS = "synthetic:?width=128&height=64&fps=30"


class Manager:
    """A notify socket, and what was heard on it: (seconds, {name: value}) for each datagram."""

    def __init__(self, place):
        self.name = str(place) if place.is_absolute() else f"@{place}-{os.getpid()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.name.replace("@", "\0", 1) if self.name[0] == "@" else self.name)
        self.heard = []

    def listen(self, *, until, timeout_s=15.0):
        """Take messages until `until(self)` holds or nothing comes in time; return whether it holds."""
        end = time.monotonic() + timeout_s
        while not until(self) and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(4096)
                self.heard.append((time.monotonic(), dict(line.split("=", 1) for line in data.decode().split("\n"))))
        return until(self)

    def times(self, name):
        return [at for at, message in self.heard if name in message]

    def close(self):
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    made = Manager(tmp_path / "notify" if request.param == "path" else Path("edgezsl-test"))
    yield made
    made.close()


@contextlib.contextmanager
def running(manager, small_bundle, folder, source, *more, **environment):
    classes = folder / "classes.yaml"
    classes.write_text("- red\n- blue\n")
    command = [
        sys.executable,
        "-m",
        "edgezsl",
        "run",
        "--source",
        source,
        "--classes",
        str(classes),
        "--engine",
        "onnx",
    ]
    variables = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)), **environment}
    with subprocess.Popen(
        [*command, "--bundle", str(small_bundle.folder), *more],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_service_is_ready_with_its_first_answer_pings_while_it_answers_and_says_that_it_stops(
    manager, small_bundle, tmp_path
):
    with running(manager, small_bundle, tmp_path, ENDLESS) as process:
        assert manager.listen(until=lambda one: len(one.times("WATCHDOG")) >= 6)
        process.send_signal(signal.SIGTERM)
        assert manager.listen(until=lambda one: one.times("STOPPING"))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    names = [set(message) for _, message in manager.heard]
    assert names[0] == {"STATUS"}, "loading"
    assert names[1] == {"READY", "WATCHDOG", "STATUS"}, "the first answer"
    assert names[-1] == {"STOPPING"}
    assert len(manager.times("READY")) == len(manager.times("STOPPING")) == 1
    pings = manager.times("WATCHDOG")
    gaps = [after - before for before, after in itertools.pairwise(pings)]
    assert min(gaps) > 0.6 * WATCHDOG_S / PINGS_PER_TIMEOUT, "not with every frame"
    assert max(gaps) < WATCHDOG_S, "before the watchdog fires"
    assert "frames a second, classes 1" in manager.heard[-2][1]["STATUS"]


def test_a_source_that_hangs_ends_the_pings_and_then_the_service(manager, small_bundle, tmp_path):
    """The seeded defect: a camera that gives frames, and then keeps its connection open in silence."""
    picture = cv2.imencode(".jpg", colour_frame("red", height=64, width=128))[1].tobytes()
    with (
        mjpeg_server([picture] * 40, "stall") as url,
        running(manager, small_bundle, tmp_path, url, "--stall", "3") as process,
    ):
        manager.listen(until=lambda one: one.times("STOPPING"))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "no frame for 3 s" in said
    silent_s = manager.times("STOPPING")[0] - manager.times("WATCHDOG")[-1]
    assert silent_s > WATCHDOG_S, "a watchdog of this length would have fired"
    assert any(message.get("STATUS", "").startswith("source lost") for _, message in manager.heard)


def test_an_answer_that_hangs_ends_the_pings(manager):
    """The engine, or an output before this sink: nobody calls it, and no thread pings instead."""
    sink = ServiceSink.from_environment({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000"})
    sink.frame(None, an_answer())
    assert manager.listen(until=lambda one: one.times("READY"), timeout_s=1)
    assert not manager.listen(until=lambda one: len(one.times("WATCHDOG")) > 1, timeout_s=0.4)


def an_answer():
    return Recognition(0, 0.0, None, "a", 1, "0", None, 0, 1.0, ())


def test_pings_come_at_most_at_a_third_of_the_timeout_and_at_least_while_frames_come(manager):
    now = 0.0
    sink = ServiceSink(manager.name.replace("@", "\0", 1), 9.0, clock=lambda: now)
    sink.beside = lambda: "9.3 W, 64 °C"
    for step in range(200):  # ten frames a second
        now = step / 10
        sink.frame(None, an_answer())
    manager.listen(until=lambda one: len(one.heard) == 7, timeout_s=1)
    assert len(manager.times("WATCHDOG")) == 7, "at 0, 3, … 18 seconds"
    assert "10.0 frames a second, 9.3 W, 64 °C, classes " in manager.heard[-1][1]["STATUS"]


@pytest.mark.parametrize("pid", ["1", ""])
def test_a_watchdog_of_another_process_is_not_fed(manager, pid):
    sink = ServiceSink.from_environment({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": pid})
    sink.frame(None, an_answer())
    manager.listen(until=lambda one: one.heard, timeout_s=1)
    assert manager.times("READY")
    assert bool(manager.times("WATCHDOG")) is (pid == "")


def test_readiness_that_nobody_took_is_told_again(tmp_path):
    name = tmp_path / "late"
    sink = ServiceSink.from_environment({"NOTIFY_SOCKET": str(name)})
    sink.frame(None, an_answer())  # nobody listens yet: recognition goes on
    manager = Manager(Path(name))
    sink.frame(None, an_answer())
    assert manager.listen(until=lambda one: one.times("READY"), timeout_s=1)
    manager.close()


@pytest.mark.parametrize("change", [{"NOTIFY_SOCKET": "here"}, {"NOTIFY_SOCKET": "@"}, {"WATCHDOG_USEC": "5s"}])
def test_what_systemd_would_not_write_is_refused(change):
    with pytest.raises(InputError, match="systemd") as caught:
        ServiceSink.from_environment({"NOTIFY_SOCKET": "/run/notify", **change})
    assert caught.value.code == "bad_notify"


def test_without_a_manager_there_is_no_sink():
    assert ServiceSink.from_environment({"WATCHDOG_USEC": "1000"}) is None
