"""The virtual camera is a live source like any other: late readers lose frames, and its pictures can be repeated."""

import math
import time

import numpy as np
import pytest

from edgezsl.demo.camera import FRAME_SIZE, Shot, Sweep, VirtualCamera, placement, view
from edgezsl.errors import InputError

SWEEP = Sweep(0.3, 1.2, 2.0, 4.0, inwards=True)
PHOTOS = [(512, 512), (300, 451), (400, 600), (427, 640), (1000, 200)]


def photo(height=300, width=451):
    ramp = np.linspace(0, 255, height * width * 3)
    return ramp.reshape(height, width, 3).astype(np.uint8)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def camera(*lengths, fps=10.0, seed=0):
    clock = Clock()
    shots = [Shot(photo(), SWEEP, length) for length in lengths]
    return VirtualCamera(shots, fps=fps, seed=seed, clock=clock, sleep=clock.sleep), clock


def test_a_view_is_a_frame():
    frame = view(photo(), SWEEP, 0.5, np.random.default_rng(0))
    assert (frame.shape, frame.dtype, frame.flags.c_contiguous) == ((*FRAME_SIZE, 3), np.uint8, True)


def test_a_view_of_the_same_moment_differs_by_the_sensors_noise_alone():
    one, other = (view(photo(), SWEEP, 0.5, np.random.default_rng(seed)).astype(int) for seed in (1, 2))
    again = view(photo(), SWEEP, 0.5, np.random.default_rng(1))
    np.testing.assert_array_equal(one, again)
    assert 4 < np.std(one - other) / math.sqrt(2) < 6
    assert abs(np.mean(one - other)) < 0.1


def test_a_view_leaves_the_photograph_as_it_was():
    original = photo()
    view(original, SWEEP, 0.2, np.random.default_rng(0))
    np.testing.assert_array_equal(original, photo())


@pytest.mark.parametrize("size", PHOTOS)
def test_the_view_stays_inside_the_photograph_but_for_the_corners_that_the_tilt_brings(size):
    rng = np.random.default_rng(0)
    height, width = FRAME_SIZE
    sides = np.array([[0, height / 2], [width, height / 2], [width / 2, 0], [width / 2, height]])  # (x, y)
    slack = 0.03 * max(size)
    for sweep in (Sweep.drawn(rng) for _ in range(20)):
        for t in np.linspace(0, 1, 9):
            matrix = placement(size, sweep, float(t))
            x, y = matrix[:, :2] @ sides.T + matrix[:, 2:]
            assert x.min() > -slack
            assert x.max() < size[1] + slack
            assert y.min() > -slack
            assert y.max() < size[0] + slack


def test_the_camera_moves_smoothly():
    centre = np.array([FRAME_SIZE[1] / 2, FRAME_SIZE[0] / 2, 1])
    places = np.array([placement((512, 512), SWEEP, t) @ centre for t in np.linspace(0, 1, 31)])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 0.03 * 512  # of the photograph, from frame to frame at 15 a second
    assert steps.sum() > 20


def test_it_moves_nearer_or_away():
    def scale(sweep, t):
        return np.linalg.norm(placement((480, 640), sweep, t)[0, :2])

    away = Sweep(0, 0, 0, 0, inwards=False)
    assert scale(SWEEP, 0) == pytest.approx(scale(away, 1)) == 1
    assert scale(SWEEP, 1) == pytest.approx(scale(away, 0)) == 1 / 1.5


def test_frames_come_at_the_stated_rate_and_end_after_the_last_shot():
    source, clock = camera(3, 2)
    numbers = []
    while (frame := source.read()) is not None:
        numbers.append((frame.number, round(clock.now - 100, 6)))
    assert numbers == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    assert (source.frames, source.given) == (5, 5)
    assert source.read() is None


def test_a_reader_that_comes_late_loses_all_frames_but_two_and_the_count_says_so():
    source, clock = camera(10)
    assert source.read().number == 0
    clock.now += 0.55
    assert [source.read().number for _ in range(3)] == [4, 5, 6]
    clock.now += 10
    assert source.read() is None
    assert (source.frames, source.given) == (10, 4)


def test_a_frame_that_waited_was_captured_when_it_was_due():
    source, clock = camera(10)
    source.read()
    clock.now += 0.25
    waited, fresh = (time.time() - source.read().time for _ in range(2))
    assert waited == pytest.approx(0.15, abs=0.1)
    assert fresh == pytest.approx(0.05, abs=0.1)


def test_a_picture_depends_on_its_number_and_the_seed_alone():
    one, other, third = (camera(4, 4, seed=seed)[0] for seed in (5, 5, 6))
    one.read()
    np.testing.assert_array_equal(one.picture(6), other.picture(6))
    assert (one.picture(6) != third.picture(6)).any()
    assert (one.picture(6) != one.picture(5)).any()


def test_it_is_a_live_source_that_closes():
    source, _ = camera(4)
    assert (source.pace, source.name) == ("live", "demo:photographs")
    source.close()
    source.close()
    assert source.read() is None


@pytest.mark.parametrize(("lengths", "fps"), [((), 10), ((3,), 0)])
def test_nothing_to_show_is_refused(lengths, fps):
    with pytest.raises(InputError, match="frames a second") as caught:
        camera(*lengths, fps=fps)
    assert caught.value.code == "nothing_to_show"
