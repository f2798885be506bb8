"""The newest frame wins, drops are counted, and a hung driver is noticed."""

import threading
import time
from dataclasses import replace

import pytest

from edgezsl.errors import SourceError, SourceLostError
from edgezsl.runtime.events import SourceChanged
from edgezsl.runtime.reader import FrameReader, ReadyFrame
from edgezsl.runtime.sources import Frame
from tests.fakes import BrokenSource, LeavingOutSource, ListSource, StuckSource, still


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


def test_the_time_of_a_timed_frame_is_when_it_was_due():
    frames = [still(n, media_time=n * 0.2) for n in range(4)]
    reader = started(ListSource(frames, pace="timed"))
    got, _ = everything(reader)
    reader.close()
    assert [frame.time - got[0].time for frame in got] == pytest.approx([0.0, 0.2, 0.4, 0.6], abs=0.1)


def test_the_time_of_a_timed_frame_that_comes_too_late_is_when_it_was_read():
    frames = [still(n, media_time=n * 0.001) for n in range(2)]
    frames[1] = replace(frames[1], time=frames[1].time + 3600)
    reader = started(ListSource(frames, pace="timed"))
    got, _ = everything(reader)
    reader.close()
    assert got[-1].time == frames[1].time


def test_a_picture_that_was_left_out_is_told_between_the_frames_around_it():
    pictures = ["photos/a.png", still(0, file="photos/b.png"), "photos/c.png", "photos/d.png", still(1), "photos/e.png"]
    reader = started(LeavingOutSource(pictures))
    time.sleep(0.05)  # the thread is ahead as far as it may be
    said = []
    while not said or said[-1] != "source_ended":
        item = reader.poll(5.0)
        said.append(item.number if isinstance(item, Frame) else item.to_json().get("file", item.to_json()["type"]))
        time.sleep(0.01)
    reader.close()
    assert said == [
        "source_opened",
        "photos/a.png",
        0,
        "photos/c.png",
        "photos/d.png",
        1,
        "photos/e.png",
        "source_ended",
    ]
    assert reader.dropped == 0


def test_a_prepared_frame_keeps_its_file():
    reader = started(ListSource([still(0, file="photos/a.png")]), prepare=lambda image: image)
    (frame,), _ = everything(reader)
    reader.close()
    assert isinstance(frame, ReadyFrame)
    assert frame.file == "photos/a.png"


def test_whatever_a_source_raises_comes_to_whoever_polls():
    class Defective(ListSource):
        def read(self):
            raise fault

    fault = ValueError("a defect")
    source = Defective(())
    reader = started(source)
    assert reader.poll(5.0).type == "source_opened"
    with pytest.raises(ValueError, match="a defect") as caught:
        until_lost(reader)
    reader.close()
    assert caught.value is fault
    assert source.closed
    assert not reader._thread.is_alive()


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


def test_a_waiting_source_that_is_stopped_has_dropped_nothing():
    reader = started(ListSource([still(n) for n in range(30)]))
    time.sleep(0.05)
    reader.close()
    assert reader.dropped == 0


def test_a_film_whose_clock_jumps_goes_on_without_the_pause():
    frames = [
        still(0, media_time=0.0),
        still(1, media_time=0.05),
        still(2, media_time=10_800.0),
        still(3, media_time=10_800.05),
    ]
    reader = started(ListSource(frames, pace="timed"))
    got, _ = everything(reader)
    reader.close()
    assert (got[0].number, got[-1].number) == (0, 3)
