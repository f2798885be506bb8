from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgezsl.errors import SourceError
from edgezsl.runtime.sources import open_source
from edgezsl.runtime.synthetic import MARK, Scene, SyntheticSource, read_burnt

SMALL = Scene(width=160, height=96, fps=10.0, frames=40)


class Clock:
    """A clock that only sleeping and tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def live(clock: Clock, scene: Scene = SMALL) -> SyntheticSource:
    return SyntheticSource(scene, clock=clock, sleep=clock.sleep)


def test_every_frame_carries_its_own_number():
    source = SyntheticSource(SMALL, waiting=True)
    frames = list(iter(source.read, None))
    assert [read_burnt(frame.image) for frame in frames] == list(range(40)) == [frame.number for frame in frames]
    assert {frame.image.shape for frame in frames} == {(96, 160, 3)}
    assert all(frame.image.flags.c_contiguous and frame.image.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("size", [(128, 64), (129, 65), (128, 2000), (2000, 64), (1920, 1080)])
def test_a_scene_may_have_any_size(size):
    source = SyntheticSource(Scene(*size, frames=500), waiting=True)
    for number in (0, 1, 333, 499):
        assert read_burnt(source.picture(number)) == number


def test_two_sources_of_one_scene_show_the_same_pictures():
    assert np.array_equal(SyntheticSource(SMALL).picture(7), SyntheticSource(SMALL).picture(7))


def test_pictures_move_and_change_their_colour():
    pictures = [SyntheticSource(SMALL).picture(number)[MARK[0] :] for number in (0, 1, 60, 120)]
    means = [picture.reshape(-1, 3).mean(axis=0) for picture in pictures]
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.abs(means[0] - means[2]).max() > 20
    assert np.abs(means[2] - means[3]).max() > 20


def test_a_torn_frame_is_noticed_wherever_it_is_torn():
    source = SyntheticSource(SMALL)
    before, after = source.picture(11), source.picture(12)
    for row in range(1, 96):
        torn = np.concatenate([before[:row], after[row:]])
        with pytest.raises(SourceError) as caught:
            read_burnt(torn)
        assert caught.value.code == "torn_frame"


def test_one_changed_pixel_is_noticed():
    picture = SyntheticSource(SMALL).picture(3)
    picture[80, 100, 2] ^= 1
    with pytest.raises(SourceError, match="frame 3"):
        read_burnt(picture)
    assert read_burnt(picture, exact=False) == 3


def test_one_changed_pixel_of_the_mark_is_noticed():
    picture = SyntheticSource(SMALL).picture(3)
    picture[0, 0] = 255
    with pytest.raises(SourceError, match="frame 3"):
        read_burnt(picture)


def test_a_wrong_number_is_noticed_even_after_a_lossy_codec():
    picture = SyntheticSource(SMALL).picture(3)
    picture[8:16, 120:128] = 0  # the lowest bit of the number
    with pytest.raises(SourceError, match="number 2"):
        read_burnt(picture, exact=False)


def test_the_number_survives_jpeg():
    picture = SyntheticSource(SMALL).picture(70_000)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 50])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read_burnt(decoded, exact=False) == 70_000


@pytest.mark.parametrize("shape", [(40, 160, 3), (96, 100, 3), (96, 160)])
def test_a_picture_without_room_for_the_mark_is_refused(shape):
    with pytest.raises(SourceError):
        read_burnt(np.zeros(shape, np.uint8))


def test_a_black_picture_has_no_number():
    with pytest.raises(SourceError):
        read_burnt(np.zeros((96, 160, 3), np.uint8))


def test_a_live_source_gives_each_frame_when_it_is_due(clock):
    source = live(clock)
    due = [(source.read().number, round(clock.now - 1000, 6)) for _ in range(4)]
    assert due == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]


def test_a_late_reader_gets_the_newest_frame_and_sees_the_gap(clock):
    source = live(clock)
    source.read()
    clock.now += 0.55
    assert source.read().number == 5
    assert source.read().number == 6


def test_a_reader_later_than_the_end_still_gets_the_last_frame(clock):
    source = live(clock)
    source.read()
    clock.now += 100
    assert source.read().number == 39
    assert source.read() is None


def test_live_time_starts_with_the_first_read(clock):
    source = live(clock)
    clock.now += 30
    assert source.read().number == 0


def test_a_closed_source_gives_nothing():
    source = SyntheticSource(SMALL, waiting=True)
    source.close()
    source.close()
    assert source.read() is None


def test_the_uri_sets_the_scene():
    source = open_source("synthetic:?width=320&height=200&fps=25.5&frames=3")
    assert source.scene == Scene(320, 200, 25.5, 3)
    assert (source.name, source.pace) == ("synthetic:?width=320&height=200&fps=25.5&frames=3", "live")


@pytest.mark.parametrize("uri", ["synthetic:?fps=0&frames=2", "synthetic:?frames=2"])
def test_without_a_rate_or_as_fast_as_possible_the_source_waits_for_its_reader(uri):
    source = open_source(uri, as_fast_as_possible=True)
    assert source.pace == "waiting"
    assert len(list(iter(source.read, None))) == 2


@pytest.mark.parametrize(
    "options",
    [
        "?colour=red",
        "?width",
        "?width=",
        "?width=wide",
        "?width=1.5",
        "?width=100",
        "?width=9000",
        "?height=1",
        "?fps=-1",
        "?fps=nan",
        "?fps=inf",
        "?frames=-1",
        "?width=320&width=640",
        "640x480",
    ],
)
def test_an_option_that_means_nothing_is_refused(options):
    with pytest.raises(SourceError) as caught:
        open_source(f"synthetic:{options}")
    assert caught.value.code == "bad_option"
    assert caught.value.expected
