"""Generated images: the same for a seed, different between seeds, and with the statistics of photographs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgezsl.compile.dead_leaves import (
    CALIBRATION_SEED,
    GOLDEN_SEED,
    PARITY_SEED,
    SIZES,
    dead_leaves,
    images,
)


@pytest.fixture(scope="module")
def some():
    return list(images(0, 18))


def test_a_seed_gives_one_image_and_another_seed_another(some):
    np.testing.assert_array_equal(dead_leaves(7), some[7])
    assert len({image.tobytes() for image in some}) == len(some)


def test_images_are_frames_of_several_sizes(some):
    assert {image.shape[:2] for image in some} == set(SIZES)
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in some)


def test_the_sets_of_seeds_do_not_meet():
    starts = sorted([CALIBRATION_SEED, PARITY_SEED, GOLDEN_SEED])
    assert min(np.diff(starts)) >= 100_000


def test_brightness_and_colour_differ_from_image_to_image(some):
    means = np.array([image.reshape(-1, 3).mean(axis=0) for image in some])
    assert means.std(axis=0).min() > 15
    assert 60 < means.mean() < 195
    assert np.median([image.std() for image in some]) > 25


def slope(image):
    """Return the exponent of the power spectrum over frequency, between 4 and 40 periods an image."""
    grey = image[:160, :160].mean(axis=2)
    window = np.hanning(160)[:, None] * np.hanning(160)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(160)[:, None], np.fft.fftfreq(160)) * 160
    bands = np.geomspace(4, 40, 9)
    means = [power[(frequency >= low) & (frequency < high)].mean() for low, high in itertools.pairwise(bands)]
    return np.polyfit(np.log(np.sqrt(bands[1:] * bands[:-1])), np.log(means), 1)[0]


def test_the_power_spectrum_falls_as_that_of_photographs(some):
    # Photographs: about the power of -2 (Field 1987; Ruderman 1997); white noise 0, a smooth gradient far below -4.
    assert -3.2 < np.median([slope(image) for image in some]) < -1.4


def test_neighbouring_pixels_are_mostly_alike_and_sometimes_not_at_all(some):
    steps = np.concatenate([np.abs(np.diff(image[..., 1].astype(float), axis=1)).ravel() for image in some])
    assert np.median(steps) < 8
    assert np.percentile(steps, 99.5) > 40
