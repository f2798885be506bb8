from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgezsl.errors import SourceError, SourceLostError
from edgezsl.runtime.gstreamer import PROGRAM, PipeSource, csi_pipeline
from edgezsl.runtime.sources import open_source


def needs_gstreamer(test):
    absent = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
    return pytest.mark.network(absent(test))


def pipe(pipeline: str, timeout_s: float = 20.0) -> PipeSource:
    return PipeSource.open(pipeline, name=f"gst:{pipeline}", timeout_s=timeout_s)


def children() -> list[str]:
    """Return the commands of this process's children, zombies included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid():
            found.append(name)
    return found


@needs_gstreamer
@pytest.mark.parametrize("width", [64, 101, 102, 103])
def test_frames_of_any_width_arrive_without_skew(width):
    # White and black stripes: a row that is padded wrongly moves them from row to row.
    source = pipe(f"videotestsrc pattern=smpte75 num-buffers=5 ! video/x-raw,format=RGB,width={width},height=33")
    frames = list(iter(source.read, None))
    source.close()
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    for frame in frames:
        assert frame.image.shape == (33, width, 3)
        assert frame.image.flags.c_contiguous
        assert np.array_equal(frame.image[0], frame.image[20])  # the bars are upright down to two thirds
        assert frame.media_time is None


@needs_gstreamer
def test_frames_are_rgb():
    source = open_source("videotestsrc pattern=red num-buffers=2 ! video/x-raw,width=64,height=48")
    assert np.array_equal(source.read().image[10, 10], (255, 0, 0))
    source.close()


@needs_gstreamer
def test_large_frames_pass_the_pipe_whole():
    source = pipe("videotestsrc pattern=ball num-buffers=3 ! video/x-raw,width=1920,height=1080")
    assert [frame.image.shape for frame in iter(source.read, None)] == [(1080, 1920, 3)] * 3
    source.close()


@needs_gstreamer
@pytest.mark.parametrize("sink", ["appsink", "appsink drop=true max-buffers=1", "videoconvert ! appsink name=a"])
def test_a_pipeline_written_for_opencv_works_as_it_is(sink):
    source = pipe(f"videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! {sink}")
    assert source.read().image.shape == (48, 64, 3)
    source.close()


@needs_gstreamer
def test_text_with_an_exclamation_mark_is_a_pipeline():
    source = open_source("videotestsrc is-live=true ! video/x-raw,width=64,height=48")
    assert (source.name, source.pace) == ("gst:videotestsrc is-live=true ! video/x-raw,width=64,height=48", "live")
    assert source.read().number == 0
    source.close()


@needs_gstreamer
def test_the_end_of_a_pipeline_is_an_end_and_no_loss():
    source = pipe("videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48")
    assert source.read() is not None
    assert source.read() is None
    assert source.read() is None
    source.close()


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("nosuchelement ! videoconvert", "nosuchelement"),
        ("videotestsrc num-buffers=3 ! jpegenc", "could not link"),
        ("filesrc location=/nonexistent ! decodebin", "filesrc"),
        ("rtspsrc location=rtsp://user:secret@127.0.0.1:9/x ! decodebin", "Could not open resource"),
        ("videotestsrc nosuchproperty=1 ! videoconvert", "nosuchproperty"),
        ("videotestsrc pattern=rtsp://user:secret@host ! videoconvert", "rtsp://***@host"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused_in_gstreamers_words(pipeline, reason):
    with pytest.raises(SourceError) as caught:
        open_source(f"gst:{pipeline}", timeout_s=20)
    assert caught.value.code == "bad_pipeline"
    assert reason in caught.value.message
    assert "secret" not in str(caught.value)
    assert PROGRAM not in children()


@needs_gstreamer
def test_a_csi_camera_elsewhere_than_on_a_jetson_says_what_it_needs():
    if subprocess.run(["gst-inspect-1.0", "--exists", "nvarguscamerasrc"], check=False).returncode == 0:
        pytest.skip("this is a Jetson")
    with pytest.raises(SourceError, match="nvarguscamerasrc") as caught:
        open_source("csi://0", timeout_s=20)
    assert caught.value.hint.startswith("a CSI camera needs a Jetson")


@needs_gstreamer
def test_a_pipeline_without_a_frame_is_refused():
    with pytest.raises(SourceError, match="before its first frame"):
        pipe("videotestsrc num-buffers=0")


@needs_gstreamer
def test_a_quote_without_its_partner_is_refused():
    with pytest.raises(SourceError, match="quotation"):
        pipe('videotestsrc ! "abc')


@needs_gstreamer
def test_nothing_of_a_pipeline_reaches_a_shell(tmp_path):
    with pytest.raises(SourceError):
        pipe(f"videotestsrc num-buffers=1 ; touch {tmp_path}/touched $(touch {tmp_path}/touched)")
    assert not list(tmp_path.iterdir())


@needs_gstreamer
def test_a_silent_pipeline_is_lost_and_its_process_ended():
    with pytest.raises(SourceLostError) as caught:
        pipe("appsrc", timeout_s=0.5)
    assert caught.value.code == "silent"
    assert PROGRAM not in children()


@needs_gstreamer
def test_a_pipeline_that_falls_silent_is_lost():
    # The first frame passes; the next one is held back for a minute.
    source = pipe("videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48,framerate=1/60 ! clocksync", timeout_s=1)
    assert source.read().number == 0
    with pytest.raises(SourceLostError) as caught:
        source.read()
    assert caught.value.code == "silent"
    source.close()


@needs_gstreamer
def test_a_pipeline_that_dies_is_lost():
    source = pipe("videotestsrc is-live=true ! video/x-raw,width=64,height=48")
    source.read()
    source._child.terminate()
    with pytest.raises(SourceLostError):
        list(iter(source.read, None))
    source.close()


@needs_gstreamer
def test_closing_ends_the_process_and_frees_the_pipe():
    before = len(list(Path("/proc/self/fd").iterdir()))
    source = pipe("videotestsrc is-live=true")
    source.close()
    source.close()
    assert source.read() is None
    assert PROGRAM not in children()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@needs_gstreamer
def test_closing_while_another_thread_reads_ends_the_read():
    source = pipe("videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48,framerate=1/60 ! clocksync")
    source.read()
    read: list[object] = []
    reader = threading.Thread(target=lambda: read.append(source.read()))
    reader.start()
    time.sleep(0.1)
    source.close()
    reader.join()
    assert read == [None]


@needs_gstreamer
def test_a_pipeline_that_changes_its_frame_size_is_lost(tmp_path):
    make = f"multifilesink location={tmp_path}/%d.jpg"
    for index, size in enumerate(("width=64,height=48", "width=96,height=64")):
        caps = f"video/x-raw,{size}"
        command = f"videotestsrc num-buffers=1 ! {caps} ! jpegenc ! {make} index={index}"
        subprocess.run([PROGRAM, "-q", *command.split()], check=True)
    line = f"multifilesrc location={tmp_path}/%d.jpg caps=image/jpeg,framerate=2/1 ! jpegdec ! identity sync=true"
    # On a busy machine the change is seen before the first frame was read whole: then opening it says so.
    with pytest.raises(SourceLostError, match=r"from \(48, 64\) to \(64, 96\)"), closing(pipe(line)) as source:
        list(iter(source.read, None))


@needs_gstreamer
def test_a_reader_that_is_late_gets_whole_frames():
    source = pipe("videotestsrc is-live=true pattern=black ! video/x-raw,width=101,height=33,framerate=60/1")
    for _ in range(3):
        time.sleep(0.1)
        assert not source.read().image.any()
    source.close()


def test_without_gstreamer_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError) as caught:
        open_source("gst:videotestsrc ! videoconvert")
    assert caught.value.code == "no_gstreamer"
    assert "gstreamer1.0-tools" in caught.value.hint


def test_a_csi_camera_is_a_pipeline():
    assert csi_pipeline("csi://1").startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM) ! nvvidconv")


@pytest.mark.parametrize("uri", ["csi://", "csi://front", "csi:-1", "csi://0/1"])
def test_a_csi_camera_needs_a_number(uri):
    with pytest.raises(SourceError):
        csi_pipeline(uri)


SILENT = """
import os, threading, time
from pathlib import Path
from edgezsl.runtime.gstreamer import PipeSource

pipeline = "udpsrc port=0 ! video/x-raw,format=RGB,width=8,height=8"
threading.Thread(target=lambda: PipeSource.open(pipeline, name="gst:", timeout_s=600), daemon=True).start()
children = []
while not children:
    time.sleep(0.01)
    children = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
time.sleep(0.5)  # the call that started it has returned, and waits for a frame
print(children[0])
"""


@needs_gstreamer
def test_a_silent_pipeline_does_not_outlive_a_process_that_cannot_wait_for_it():
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=60, check=True)
    status = Path(f"/proc/{int(done.stdout)}/status")
    assert within(10, lambda: gone(status))


def gone(status):
    """Return whether a process has ended: it may still be there while the kernel takes it down, or wait to be reaped."""
    try:
        return "State:\tZ" in status.read_text()
    except OSError:
        return True


def within(seconds, true):
    """Wait until something is true; return whether it became so."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()
