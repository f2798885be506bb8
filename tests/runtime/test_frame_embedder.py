"""One frame is embedded while the one before is answered; what is slow afterwards never makes frames old."""

import threading
import time

import numpy as np
import pytest

from edgezsl.errors import EngineError, SourceLostError
from edgezsl.runtime.events import SourceChanged
from edgezsl.runtime.frame_embedder import FrameEmbedder
from edgezsl.runtime.reader import FrameReader
from tests.fakes import BrokenSource, EndlessSource, ListSource, still

PATIENCE_S = 10.0


class CountingEngine:
    """Embeds a frame as its number, remembers which ones it was given, and may be held up."""

    def __init__(self) -> None:
        self.given = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, frame):
        self.given.append(frame.number)
        assert self.free.wait(PATIENCE_S)
        return np.array([[frame.number]], np.float32)


@pytest.fixture
def engine():
    return CountingEngine()


@pytest.fixture
def started(engine):
    opened = []

    def start(source, embed=engine):
        opened.append(FrameEmbedder(FrameReader(lambda: source, source.name), embed))
        opened[-1].start()
        return opened[-1]

    yield start
    engine.free.set()
    for embedder in opened:
        embedder.close()


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.002)


def next_frame(embedder):
    """Poll until a frame comes."""
    while True:
        item = embedder.poll(PATIENCE_S)
        assert item is not None, "no frame came"
        if not isinstance(item, SourceChanged):
            return item


def test_every_frame_of_a_file_comes_embedded_in_order_between_its_two_notices(started):
    embedder = started(ListSource([still(n) for n in range(20)]))
    items = [embedder.poll(PATIENCE_S) for _ in range(22)]
    assert [items[0].type, items[-1].type] == ["source_opened", "source_ended"]
    assert [item.frame.number for item in items[1:-1]] == list(range(20))
    assert [item.embeddings.tolist() for item in items[1:-1]] == [[[n]] for n in range(20)]


def test_the_next_frame_is_embedded_while_the_one_before_is_answered(started, engine):
    embedder = started(ListSource([still(n) for n in range(5)]))
    assert next_frame(embedder).frame.number == 0
    wait_until(lambda: engine.given == [0, 1])  # nobody has polled again


def test_no_frame_is_embedded_that_would_be_old_before_it_is_answered(started, engine):
    embedder = started(EndlessSource(interval_s=0.001))
    embedder.poll(PATIENCE_S)
    first = next_frame(embedder).frame.number
    wait_until(lambda: len(engine.given) == 2)
    dropped = embedder._reader.dropped
    wait_until(lambda: embedder._reader.dropped > dropped + 20)  # whoever answers takes long; frames go by unembedded
    assert len(engine.given) == 2
    assert next_frame(embedder).frame.number > first
    assert next_frame(embedder).frame.number > dropped + 20


def test_nothing_comes_within_the_time_when_nothing_happens(started, engine):
    engine.free.clear()
    embedder = started(ListSource([still(0)]))
    assert embedder.poll(PATIENCE_S).type == "source_opened"
    assert embedder.poll(0.01) is None


def test_where_answers_take_long_the_frames_that_come_are_fresh(started, engine):
    source = EndlessSource(interval_s=0.001)
    embedder = started(source)
    for _ in range(3):  # the engine learns how long whoever answers is busy
        next_frame(embedder)
        time.sleep(0.3)
    frame = next_frame(embedder).frame
    assert source._number - frame.number < 150, "embedded just before it was asked for, not 300 frames ago"


def test_an_engine_that_exits_or_panics_is_an_error_and_not_a_silence(started):
    class Panic(BaseException):
        pass

    def panic(_):
        raise Panic("index out of bounds")

    embedder = started(EndlessSource(), panic)
    assert embedder.poll(PATIENCE_S).type == "source_opened"
    with pytest.raises(EngineError, match="index out of bounds"):
        embedder.poll(PATIENCE_S)


@pytest.mark.parametrize("fault", [EngineError("the graph does not run", code="run_failed"), ZeroDivisionError("ours")])
def test_what_an_engine_raises_comes_to_whoever_polls(started, fault):
    def fail(_):
        raise fault

    embedder = started(EndlessSource(), fail)
    assert embedder.poll(PATIENCE_S).type == "source_opened"
    with pytest.raises(type(fault)) as caught:
        embedder.poll(PATIENCE_S)
    assert caught.value is fault


def test_a_lost_source_is_raised_after_the_frames_before_it(started):
    embedder = started(BrokenSource([still(0)]))
    assert next_frame(embedder).frame.number == 0
    with pytest.raises(SourceLostError, match="the camera is gone"):
        embedder.poll(PATIENCE_S)


@pytest.mark.parametrize("polled", [0, 1, 3])
def test_closing_ends_both_threads_whatever_has_been_taken(started, polled):
    source = ListSource([still(n) for n in range(30)])
    embedder = started(source)
    for _ in range(polled):
        embedder.poll(PATIENCE_S)
    embedder.close()
    embedder.close()
    assert not embedder._thread.is_alive()
    assert not embedder._reader._thread.is_alive()
    assert source.closed
