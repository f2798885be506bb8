"""The newest frame wins, drops are counted, and a hung driver is noticed."""

import threading
import time

import pytest

from edgezsl.errors import SourceError, SourceLostError
from edgezsl.runtime.events import SourceChanged
from edgezsl.runtime.reader import FrameReader
from tests.fakes import BrokenSource, ListSource, StuckSource, still


def everything(reader, *, pause_s=0.0):
    """Read a source to its end, slowly if asked; return frames and notices."""
    frames, notices = [], []
    while True:
        item = reader.poll(5.0)
        if isinstance(item, SourceChanged):
            notices.append(item)
            if item.type == "source_ended":
                return frames, notices
        elif item is not None:
            frames.append(item)
            time.sleep(pause_s)


def until_lost(reader, frames=None):
    """Poll until the source is lost; keep the frames that came before."""
    while True:
        item = reader.poll(0.05)
        if frames is not None and item is not None and not isinstance(item, SourceChanged):
            frames.append(item)


def started(source, **options):
    reader = FrameReader(lambda: source, source.name, **options)
    reader.start()
    return reader


def test_a_waiting_source_loses_no_frame_to_a_slow_reader():
    source = ListSource([still(n) for n in range(30)])
    reader = started(source)
    frames, notices = everything(reader, pause_s=0.002)
    reader.close()
    assert [frame.number for frame in frames] == list(range(30))
    assert reader.dropped == 0
    assert [notice.type for notice in notices] == ["source_opened", "source_ended"]
    assert source.closed


def test_the_newest_frame_of_a_live_source_wins_and_the_others_are_counted():
    reader = started(ListSource([still(n) for n in range(200)], pace="live", interval_s=0.001))
    frames, _ = everything(reader, pause_s=0.02)
    reader.close()
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 199
    assert reader.dropped > 0
    assert len(frames) + reader.dropped == 200


def test_a_timed_source_gives_each_frame_when_it_is_due():
    frames = [still(n, media_time=n * 0.05) for n in range(6)]
    reader = started(ListSource(frames, pace="timed"))
    before = time.monotonic()
    got, _ = everything(reader)
    reader.close()
    assert len(got) == 6
    assert time.monotonic() - before >= 0.24  # the last is due 0.25 s after the first


def test_a_source_that_hangs_in_read_is_lost_and_the_reader_still_closes():
    source = StuckSource([still(0)])
    reader = started(source, stall_s=0.3)
    assert reader.poll(5.0).type == "source_opened"
    assert reader.poll(5.0).number == 0
    with pytest.raises(SourceLostError, match="no frame for") as caught:
        until_lost(reader)
    assert caught.value.code == "source_lost"
    assert caught.value.hint
    source.released.set()
    reader.close()


def test_a_source_that_hangs_while_opening_is_lost():
    answered = threading.Event()

    def hang():
        answered.wait()
        raise SourceError("too late", code="too_late")

    reader = FrameReader(hang, "hanging", stall_s=0.2)
    reader.start()
    with pytest.raises(SourceLostError):
        until_lost(reader)
    answered.set()
    reader.close()


def test_a_slow_timed_video_is_not_mistaken_for_a_hung_one():
    frames = [still(0, media_time=0.0), still(1, media_time=0.8)]
    reader = started(ListSource(frames, pace="timed"), stall_s=0.3)
    got, _ = everything(reader)
    reader.close()
    assert [frame.number for frame in got] == [0, 1]


def test_frames_read_before_a_source_broke_are_still_answered():
    reader = started(BrokenSource([still(n) for n in range(3)]))
    frames = []
    with pytest.raises(SourceLostError, match="the camera is gone"):
        until_lost(reader, frames)
    reader.close()
    assert [frame.number for frame in frames] == [0, 1, 2]


def test_a_source_that_cannot_be_opened_gives_its_own_error():
    def refuse():
        raise SourceError("there is no such camera", code="not_found", hint="look at `edgezsl doctor`")

    reader = FrameReader(refuse, "camera:9")
    reader.start()
    with pytest.raises(SourceError, match="no such camera"):
        until_lost(reader)


def test_closing_a_waiting_source_that_nobody_reads_ends_its_thread():
    source = ListSource([still(n) for n in range(30)])
    reader = started(source)
    time.sleep(0.05)
    reader.close()
    assert not reader._thread.is_alive()
    assert source.closed
