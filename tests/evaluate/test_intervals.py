import numpy as np
import pytest

from edgezsl.evaluate.intervals import bootstrap_interval, mean_interval, share_interval, student_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30, 101])
def test_students_quantile_equals_that_of_scipy(freedom):
    stats = pytest.importorskip("scipy.stats")
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-9)


def test_the_interval_of_a_mean_equals_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = [41.0, 43.5, 40.2, 44.1, 42.0]
    found = mean_interval(values)
    wanted = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), *wanted))


def test_of_a_single_run_no_interval_is_known():
    found = mean_interval([3.0])
    assert found.to_json() == {"value": 3.0, "low": None, "high": None}


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (10, 10), (598, 1000)])
def test_the_interval_of_a_share_solves_wilsons_equation(right, count):
    found = share_interval(right, count)
    for end in (found.low, found.high):  # where the share is 1.96 standard deviations of that end away from it
        assert (found.value - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / count, abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap_interval(lambda rows: float(values[rows].mean()), len(values))
    assert found.value == values.mean()
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_samples_without_a_value_are_left_out_of_a_bootstrap():
    known = bootstrap_interval(lambda rows: float("nan") if rows[0] == 0 else 1.0, 3)
    assert (known.low, known.high) == (1.0, 1.0)
    none = bootstrap_interval(lambda _: float("nan"), 3)
    assert none.to_json() == {"value": None, "low": None, "high": None}
