"""The loop: answers in order, swaps between frames, refusals that change nothing."""

import threading

import pytest

from edgezsl.contract import EmbeddingSpace
from edgezsl.errors import ClassFileError, SourceLostError
from edgezsl.runtime.engine import FunctionEngine, open_engine
from edgezsl.runtime.events import ClassesRefused, ClassesSwapped, SourceChanged
from edgezsl.runtime.reader import FrameReader
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.stream import Stream
from tests.factories import colour_prototypes, small_contract, small_space
from tests.fakes import BrokenSource, EndlessSource, LeavingOutSource, ListSource, RecordingSink, still


@pytest.fixture
def recognizer(small_bundle):
    engine = open_engine(small_bundle, "onnx", threads=1)
    yield Recognizer(engine, small_bundle.manifest.contract, colour_prototypes("red", "green", "blue"))
    engine.close()


def stream_of(source, recognizer):
    sink = RecordingSink()
    return Stream(FrameReader(lambda: source, source.name), recognizer, [sink]), sink


def running(stream):
    """Run a stream in a thread; return the thread and the list that its summary comes into."""
    summaries = []
    thread = threading.Thread(target=lambda: summaries.append(stream.run()))
    thread.start()
    return thread, summaries


def test_every_frame_of_a_file_is_answered_in_order(recognizer):
    colours = ["red", "green", "blue", "green"]
    stream, sink = stream_of(ListSource([still(n, colour=c) for n, c in enumerate(colours)]), recognizer)
    summary = stream.run()
    assert [answer.regions[0].decision for answer in sink.answers] == colours
    assert [answer.frame for answer in sink.answers] == [0, 1, 2, 3]
    assert summary.answered == 4
    assert summary.dropped == 0
    assert sink.closed
    assert [event.type for event in sink.events] == ["source_opened", "source_ended"]


def test_an_answer_carries_source_revision_digest_and_latency(recognizer):
    stream, sink = stream_of(ListSource([still(7, media_time=0.28)]), recognizer)
    stream.run()
    line = sink.answers[0].to_json()
    assert line["source"] == "list"
    assert line["revision"] == 1
    assert line["classes"] == recognizer.prototypes.digest[:12]
    assert line["media_time"] == 0.28
    assert line["latency_ms"] >= 0


def test_an_answer_says_which_picture_it_belongs_to(recognizer):
    stream, sink = stream_of(ListSource([still(0, file="photos/a.png"), still(1)]), recognizer)
    stream.run()
    assert [answer.to_json()["file"] for answer in sink.answers] == ["photos/a.png", None]


def test_a_picture_that_was_left_out_is_told_to_every_sink_in_its_place(recognizer):
    source = LeavingOutSource([still(0), "photos/b.png", still(1)])
    sinks = [RecordingSink(), RecordingSink()]
    summary = Stream(FrameReader(lambda: source, source.name), recognizer, sinks).run()
    for sink in sinks:
        lines = [line.to_json() for line in sink.lines]
        assert [line["type"] for line in lines] == [
            "source_opened",
            "recognition",
            "frame_skipped",
            "recognition",
            "source_ended",
        ]
        assert (lines[2]["source"], lines[2]["file"]) == ("file:photos", "photos/b.png")
        assert lines[2]["message"] == "photos/b.png was left out: the file is empty"
    assert summary.answered == 2


def test_new_classes_answer_from_the_next_frame_and_are_announced_before_it(recognizer):
    stream, sink = stream_of(EndlessSource(), recognizer)
    thread, _ = running(stream)
    sink.wait_for(lambda s: len(s.answers) >= 3)
    stream.offer(colour_prototypes("magenta", "cyan"), "new.yaml")
    sink.wait_for(lambda s: s.answers[-1].revision == 2)
    stream.stop()
    thread.join()
    swapped = next(n for n, line in enumerate(sink.lines) if isinstance(line, ClassesSwapped))
    first_new = next(n for n, line in enumerate(sink.lines) if getattr(line, "regions", ()) and line.revision == 2)
    assert swapped < first_new
    assert sink.lines[swapped].revision == 2
    assert sink.lines[swapped].names == 2
    names = {name for a in sink.answers for name in (one.name for one in a.regions[0].top) if a.revision == 2}
    assert names == {"magenta", "cyan"}
    assert all(a.regions[0].decision == "red" for a in sink.answers if a.revision == 1)


def test_a_refused_class_file_is_reported_and_changes_nothing(recognizer):
    stream, sink = stream_of(EndlessSource(), recognizer)
    thread, summaries = running(stream)
    stream.offer(ClassFileError("the key 'x' is unknown", code="unknown_key", hint="remove it"), "classes.yaml")
    sink.wait_for(lambda s: any(isinstance(event, ClassesRefused) for event in s.events))
    seen = len(sink.answers)
    sink.wait_for(lambda s: len(s.answers) > seen + 3)
    stream.stop()
    thread.join()
    assert {answer.revision for answer in sink.answers} == {1}
    assert summaries[0].refusals == 1
    assert summaries[0].swaps == 0


def test_classes_of_another_space_are_refused_and_the_old_ones_go_on(recognizer):
    stream, sink = stream_of(EndlessSource(), recognizer)
    thread, _ = running(stream)
    other = colour_prototypes("red", space=EmbeddingSpace("f" * 64, small_space().dim, "cosine"))
    stream.offer(other, "other.safetensors")
    sink.wait_for(lambda s: any(isinstance(event, ClassesRefused) for event in s.events))
    stream.stop()
    thread.join()
    refusal = next(event for event in sink.events if isinstance(event, ClassesRefused))
    assert refusal.to_json()["code"] == "space_mismatch"
    assert recognizer.revision == 1


def test_new_classes_are_taken_while_the_source_is_silent(recognizer):
    source = EndlessSource(interval_s=1.5)
    stream, sink = stream_of(source, recognizer)
    thread, _ = running(stream)
    stream.offer(colour_prototypes("magenta"), "new.yaml")
    sink.wait_for(lambda s: any(isinstance(event, ClassesSwapped) for event in s.events))
    assert not sink.answers or sink.answers[-1].revision == 1
    stream.stop()
    thread.join()
    assert recognizer.revision == 2


def test_a_lost_source_is_reported_to_every_sink_and_raised(recognizer):
    stream, sink = stream_of(BrokenSource([still(0)]), recognizer)
    with pytest.raises(SourceLostError):
        stream.run()
    assert sink.closed
    assert len(sink.answers) == 1
    last = sink.events[-1]
    assert isinstance(last, SourceChanged)
    assert last.type == "source_lost"
    assert "plug it in" in last.message


def test_stop_ends_the_stream_after_the_frame_at_hand(recognizer):
    stream, sink = stream_of(EndlessSource(), recognizer)
    thread, summaries = running(stream)
    sink.wait_for(lambda s: len(s.answers) >= 2)
    stream.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert summaries[0].answered == len(sink.answers)
    assert sink.closed


def test_a_function_is_an_engine():
    contract = small_contract()
    recognizer = Recognizer(
        FunctionEngine(lambda pixels: colour_prototypes().vectors[: len(pixels)]), contract, colour_prototypes()
    )
    stream, sink = stream_of(ListSource([still(0)]), recognizer)
    stream.run()
    assert sink.answers[0].regions[0].decision == "red"
