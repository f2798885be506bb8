from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgezsl.errors import ClassFileError, Place, SinkError
from edgezsl.runtime.events import (
    ClassesRefused,
    ClassesSwapped,
    ClassScore,
    FrameSkipped,
    Recognition,
    RegionAnswer,
    SourceChanged,
)
from edgezsl.runtime.overlay import annotated
from edgezsl.runtime.sinks import JsonLinesSink, VideoSink, WindowSink
from edgezsl.runtime.sources import Frame, open_source
from tests.runtime.servers import display

if TYPE_CHECKING:
    from pathlib import Path


def frame(
    number: int = 0, *, seconds: float | None = None, size: tuple[int, int] = (120, 160), shade: int = 90
) -> Frame:
    return Frame(np.full((*size, 3), shade, np.uint8), number, 1000.0 + number / 30, seconds)


def answer(decision: str | None = "cat", *names: str, source: str = "synthetic:", regions: int = 1) -> Recognition:
    top = tuple(ClassScore(name, 0.5 - 0.1 * rank, 0.4) for rank, name in enumerate(names or ("cat", "dog")))
    return Recognition(
        frame=0,
        time=1000.0,
        media_time=None,
        source=source,
        revision=3,
        classes="9f2c41d07b1e",
        release=None,
        dropped=0,
        latency_ms=9.1,
        regions=tuple(RegionAnswer(f"region {index}", decision, top) for index in range(regions)),
    )


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Lines of JSON


def test_each_answer_and_event_is_one_line_written_at_once(tmp_path):
    path = tmp_path / "a.jsonl"
    sink = JsonLinesSink.open(str(path), standard_output=sys.stdout)
    refused = ClassFileError("a bad number", code="wrong_type", where=Place("classes.yaml", 7, "threshold"))
    sink.frame(frame(), answer())
    assert [line["type"] for line in lines_of(path)] == ["recognition"]
    sink.event(ClassesSwapped(1.0, 4, "9f2c41d07b1e", 5, "classes.yaml"))
    sink.event(ClassesRefused(2.0, "classes.yaml", refused))
    sink.event(FrameSkipped(2.5, "file:photos", "photos/a.png", "the file is empty"))
    sink.event(SourceChanged("source_ended", 3.0, "file:a.mp4", "there are no more frames"))
    assert [line["type"] for line in lines_of(path)] == [
        "recognition",
        "classes_swapped",
        "classes_refused",
        "frame_skipped",
        "source_ended",
    ]
    assert lines_of(path)[2]["line"] == 7
    sink.close()
    sink.close()


def test_lines_are_compact_and_names_stay_legible(tmp_path):
    sink = JsonLinesSink.open(str(tmp_path / "a.jsonl"), standard_output=sys.stdout)
    sink.frame(frame(), answer("猫", "猫", "café"))
    sink.close()
    text = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert '"decision":"猫"' in text
    assert '": ' not in text


def test_an_existing_file_is_continued(tmp_path):
    for _ in range(2):
        sink = JsonLinesSink.open(str(tmp_path / "a.jsonl"), standard_output=sys.stdout)
        sink.frame(frame(), answer())
        sink.close()
    assert len(lines_of(tmp_path / "a.jsonl")) == 2


def test_a_dash_is_standard_output_which_stays_open():
    out = io.StringIO()
    sink = JsonLinesSink.open("-", standard_output=out)
    sink.frame(frame(), answer())
    sink.close()
    assert json.loads(out.getvalue())["regions"][0]["decision"] == "cat"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf8_gets_valid_json(encoding):
    raw = io.BytesIO()
    sink = JsonLinesSink.open("-", standard_output=io.TextIOWrapper(raw, encoding=encoding))
    sink.frame(frame(), answer("café 猫", "café 猫"))
    assert json.loads(raw.getvalue().decode(encoding))["regions"][0]["decision"] == "café 猫"


def test_a_source_whose_name_is_not_utf8_gives_valid_json(tmp_path):
    sink = JsonLinesSink.open(str(tmp_path / "a.jsonl"), standard_output=sys.stdout)
    sink.frame(frame(), answer(source="file:\udcff.mp4"))
    sink.close()
    assert lines_of(tmp_path / "a.jsonl")[0]["source"] == "file:\udcff.mp4"


def test_a_full_disk_is_an_error_that_names_the_file():
    sink = JsonLinesSink.open("/dev/full", standard_output=sys.stdout)
    with pytest.raises(SinkError) as caught:
        sink.frame(frame(), answer())
    assert (caught.value.code, caught.value.where.file) == ("disk_full", "/dev/full")
    sink.close()


def test_a_reader_that_has_gone_is_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    out = os.fdopen(writing, "w", encoding="utf-8")
    with pytest.raises(SinkError, match="standard output"):
        JsonLinesSink.open("-", standard_output=out).frame(frame(), answer())
    with pytest.raises(BrokenPipeError):
        out.close()


@pytest.mark.parametrize("path", ["{tmp}", "{tmp}/absent/a.jsonl"])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path, path):
    with pytest.raises(SinkError) as caught:
        JsonLinesSink.open(path.format(tmp=tmp_path), standard_output=sys.stdout)
    assert caught.value.code == "unwritable"
    assert str(tmp_path) in caught.value.where.file


# Films


def film(path: Path) -> list[np.ndarray]:
    source = open_source(str(path))
    pictures = [one.image for one in iter(source.read, None)]
    source.close()
    return pictures


def test_a_film_shows_each_frame_with_its_answer(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=25)
    for number in range(6):
        sink.frame(frame(number, seconds=number / 25, shade=40 * number), answer())
    sink.close()
    sink.close()
    pictures = film(tmp_path / "a.mp4")
    assert [round(picture[5, 5].mean() / 40) for picture in pictures] == [0, 1, 2, 3, 4, 5]
    assert pictures[0].shape == (120, 160, 3)
    assert pictures[0][60:].max() > 200  # the text


def test_a_film_keeps_its_colours(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4")
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[..., 0] = 220
    sink.frame(Frame(picture, 0, 0.0, None), answer())
    sink.close()
    red, green, blue = film(tmp_path / "a.mp4")[0][5, 5]
    assert red > 180
    assert max(green, blue) < 60


def test_a_film_runs_as_fast_as_its_source_though_frames_were_dropped(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=30)
    for number in (0, 1, 10, 11):
        sink.frame(frame(number, seconds=number / 30), answer())
    sink.close()
    assert len(film(tmp_path / "a.mp4")) == 12


def test_a_film_of_a_source_that_is_faster_than_it_lasts_as_long_as_the_source(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=30)
    for number in range(120):
        sink.frame(frame(number, seconds=number / 60, shade=2 * number), answer())
    sink.close()
    pictures = film(tmp_path / "a.mp4")
    assert len(pictures) == pytest.approx(60, abs=1)
    assert [picture[5, 5].mean() / 4 for picture in pictures] == pytest.approx(range(len(pictures)), abs=2)


def test_a_film_shows_every_picture_of_a_folder_however_fast_they_come(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=30)
    for number in range(6):
        sink.frame(replace(frame(shade=40 * number), file=f"photos/{number}.png"), answer())
    sink.close()
    assert [round(picture[5, 5].mean() / 40) for picture in film(tmp_path / "a.mp4")] == [0, 1, 2, 3, 4, 5]


def test_a_film_goes_on_where_the_clock_is_set_back(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=30)
    for seconds in (7200.0, 7200 + 1 / 30, 0.0, 1 / 30, 2 / 30):
        sink.frame(frame(seconds=seconds), answer())
    sink.close()
    assert len(film(tmp_path / "a.mp4")) == 4


def test_a_film_cuts_a_long_silence_short(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=2)
    for seconds in (0, 3600, 3600.5):
        sink.frame(frame(seconds=float(seconds)), answer())
    sink.close()
    assert len(film(tmp_path / "a.mp4")) == 1 + 20 + 1 + 1


def test_a_frame_of_another_size_is_fitted_into_the_film(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4", fps=30)
    sizes = [(120, 160), (240, 160), (61, 301), (1, 1)]
    for number, size in enumerate(sizes):
        sink.frame(frame(number, seconds=number / 30, size=size, shade=200), answer())
    sink.close()
    pictures = film(tmp_path / "a.mp4")
    assert [picture.shape for picture in pictures] == [(120, 160, 3)] * 4
    assert pictures[1][5, 5].max() < 30  # black beside the tall frame
    assert pictures[1][5, 80].min() > 150


def test_a_frame_of_odd_size_makes_a_film(tmp_path):
    sink = VideoSink.open(tmp_path / "a.mp4")
    sink.frame(frame(size=(121, 161)), answer())
    sink.close()
    assert film(tmp_path / "a.mp4")[0].shape == (120, 160, 3)


def test_a_film_without_a_frame_leaves_no_file(tmp_path):
    VideoSink.open(tmp_path / "a.mp4").close()
    assert not list(tmp_path.iterdir())


def test_a_film_replaces_what_was_there_with_its_first_frame_and_not_before(tmp_path):
    (tmp_path / "a.mp4").write_text("another film")
    VideoSink.open(tmp_path / "a.mp4").close()
    assert (tmp_path / "a.mp4").read_text() == "another film"
    sink = VideoSink.open(tmp_path / "a.mp4")
    sink.frame(frame(), answer())
    sink.close()
    assert len(film(tmp_path / "a.mp4")) == 1


@pytest.mark.parametrize("name", ["a.txt", "a", "\udcff.mp4"])
def test_a_film_needs_a_name_that_ends_in_mp4(tmp_path, name):
    with pytest.raises(SinkError) as caught:
        VideoSink.open(tmp_path / name)
    assert caught.value.code == "bad_name"
    assert not list(tmp_path.iterdir())


def test_a_film_that_cannot_be_written_is_an_error_before_the_first_frame(tmp_path):
    with pytest.raises(SinkError) as caught:
        VideoSink.open(tmp_path / "absent" / "a.mp4")
    assert caught.value.code == "unwritable"


# The window


def test_without_a_display_the_window_is_an_error_and_not_the_end_of_the_process(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError) as caught:
        WindowSink.open()
    assert caught.value.code == "no_window"
    assert "--video" in caught.value.hint


def test_a_display_that_does_not_answer_is_an_error_and_not_the_end_of_the_process(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError) as caught:
        WindowSink.open()
    assert caught.value.code == "no_window"


WINDOW = """
import sys, cv2
from edgezsl.runtime.sinks import WindowSink
from tests.runtime.test_sinks import answer, frame
asked = []
sink = WindowSink.open(on_quit=lambda: asked.append(1))
for number in range(3):
    sink.frame(frame(number), answer())
before = sink.stop_requested
cv2.destroyAllWindows()  # as a person who closes it
cv2.waitKey(50)
sink.frame(frame(3), answer())
sink.frame(frame(4), answer())
sink.close()
sink.close()
print(before, sink.stop_requested, len(asked))
"""


@pytest.mark.network
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_a_window_shows_frames_until_it_is_closed():
    # A process of its own: Qt may not be started twice, on two displays, in one.
    with display() as name:
        environment = {**os.environ, "DISPLAY": name, "QT_LOGGING_RULES": "*=false"}
        child = subprocess.run(
            [sys.executable, "-c", WINDOW], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    assert child.stdout.split() == ["False", "True", "1"], child.stderr


# The picture


def test_an_answer_is_drawn_into_a_copy():
    image = np.full((240, 320, 3), 90, np.uint8)
    drawn = annotated(image, answer())
    assert (image == 90).all()
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert (drawn != image).any()


def test_the_upper_right_of_the_frame_stays_as_it_is():
    image = np.full((480, 640, 3), 90, np.uint8)
    drawn = annotated(image, answer())
    assert (drawn[:200] == 90).all()
    assert (drawn[:, 400:] == 90).all()


def test_the_edge_tells_a_decision_from_none_of_these():
    image = np.full((240, 320, 3), 90, np.uint8)
    assert tuple(annotated(image, answer("cat"))[235, 0]) != tuple(annotated(image, answer(None))[235, 0])


def test_another_answer_looks_different():
    image = np.full((240, 320, 3), 90, np.uint8)
    pictures = [annotated(image, answer(name, name)).tobytes() for name in ("cat", "dog", "café", "猫", "кот")]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (30, 40), (40, 600), (600, 40), (1080, 1920)])
@pytest.mark.parametrize("regions", [0, 1, 3, 40])
def test_frames_of_any_size_and_answers_of_any_length_are_drawn(size, regions):
    image = np.full((*size, 3), 90, np.uint8)
    names = ("a very long name " * 20, "", "\udcff", "two\nlines", "猫" * 50, "e", "f")
    for decision in (*names, None):
        assert annotated(image, answer(decision, *names, regions=regions)).shape == image.shape
