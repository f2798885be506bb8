"""Ranges: what a histogram keeps, whatever the order in which values come."""

from __future__ import annotations

import numpy as np
import pytest

from edgezsl.compile.ranges import BINS, Histogram


def histogram(*arrays):
    counted = Histogram()
    for values in arrays:
        counted.add(np.asarray(values, np.float32))
    return counted


@pytest.fixture
def normal():
    return np.random.RandomState(0).randn(200_000).astype(np.float32)


def test_minmax_is_the_largest_magnitude_of_either_sign():
    assert histogram([1, -3], [2.5]).range("minmax", 100) == 3


@pytest.mark.parametrize("percentile", [50, 90, 99.9])
def test_percentile_is_that_of_the_magnitudes_to_within_a_bin(normal, percentile):
    counted = histogram(normal)
    reach, bin_width = counted.range("percentile", percentile), counted.top / BINS
    assert 100 * np.mean(np.abs(normal) <= reach) >= percentile
    assert 100 * np.mean(np.abs(normal) <= reach - 2 * bin_width) <= percentile


def test_a_range_never_reaches_beyond_the_largest_value(normal):
    assert histogram(normal).range("percentile", 100) <= np.abs(normal).max()


def test_later_larger_values_widen_the_histogram_and_lose_no_count(normal):
    counted = histogram(normal, 10 * normal, normal / 10)
    assert counted.counts.sum() == 3 * len(normal)
    assert counted.top >= np.abs(10 * normal).max()
    whole = np.percentile(np.abs(np.concatenate([normal, 10 * normal, normal / 10])), 99)
    assert abs(counted.range("percentile", 99) - whole) <= 2 * counted.top / BINS


def test_entropy_clips_a_lone_outlier_and_keeps_a_flat_distribution():
    flat = np.random.RandomState(1).rand(100_000)
    assert histogram(flat).range("entropy", 100) > 0.9
    assert histogram(np.append(flat, 50)).range("entropy", 100) < 5


@pytest.mark.parametrize("calibrator", ["minmax", "percentile", "entropy"])
def test_a_tensor_of_zeros_still_has_a_range(calibrator):
    assert histogram(np.zeros(10), np.zeros((2, 3))).range(calibrator, 99) > 0


def test_zeros_before_the_first_value_are_counted():
    assert histogram(np.zeros(99), [1]).range("percentile", 50) < 0.01
