from __future__ import annotations

import itertools
import signal
import time
from typing import TYPE_CHECKING

import pytest

from edgezsl.errors import SourceLostError
from edgezsl.runtime.sources import open_source
from tests.runtime.servers import APT_PACKAGES, RTSP_SIZE, RtspServer, has_rtsp

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not has_rtsp(), reason=f"no RTSP server here; install {', '.join(APT_PACKAGES)}"),
]


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


def read_until_lost(source) -> SourceLostError:
    with pytest.raises(SourceLostError) as caught:
        list(iter(source.read, None))
    source.close()
    return caught.value


def test_a_camera_behind_rtsp_gives_frames_and_hides_its_password(server):
    source = open_source(server.url, timeout_s=20)
    frames = [source.read() for _ in range(10)]
    source.close()
    assert [frame.number for frame in frames] == list(range(10))
    assert {frame.image.shape for frame in frames} == {(*RTSP_SIZE, 3)}
    assert all(frame.image.any() and frame.media_time is None for frame in frames)
    assert source.pace == "live"
    assert source.name == server.url.replace("user:secret", "***")


def test_a_scheme_in_capitals_is_a_stream_and_hides_its_password(server):
    source = open_source(" " + server.url.replace("rtsp://", "RTSP://"), timeout_s=20)
    assert source.read().number == 0
    assert source.name == server.url.replace("user:secret", "***")
    source.close()


def test_a_camera_that_is_switched_off_is_lost(server):
    source = open_source(server.url, timeout_s=20)
    source.read()
    server.process.kill()
    assert read_until_lost(source).code == "ended"


def test_a_camera_that_hangs_is_lost_at_its_time_out_and_no_stale_frame_comes_after_it(server):
    timeout_s = 2.0
    source = open_source(server.url, timeout_s=timeout_s)
    source.read()
    server.process.send_signal(signal.SIGSTOP)
    times = [time.monotonic()]
    with pytest.raises(SourceLostError) as caught:
        times.extend(time.monotonic() for _ in iter(source.read, None))
    source.close()
    assert caught.value.code == "silent"
    assert all(after - before < timeout_s / 2 for before, after in itertools.pairwise(times))


def test_a_camera_that_answers_nothing_is_lost(server):
    server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(SourceLostError) as caught:
        open_source(server.url, timeout_s=1)
    assert caught.value.code == "no_connection"


def test_a_wrong_path_is_lost_with_the_servers_address(server):
    with pytest.raises(SourceLostError, match=r"127\.0\.0\.1 port \d+ answers, and gives no video"):
        open_source(server.url.replace("/camera", "/other"), timeout_s=20)


def test_a_port_without_a_server_is_lost():
    with pytest.raises(SourceLostError, match="does not answer"):
        open_source("rtsp://127.0.0.1:9/camera", timeout_s=2)
