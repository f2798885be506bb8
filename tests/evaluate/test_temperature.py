import numpy as np
import pytest

from edgezsl.evaluate.temperature import (
    Reliability,
    TemperatureFit,
    fitted_temperature,
    negative_log_likelihood,
    softmax,
)


def drawn(*, temperature, rows=20_000, classes=5, seed=0):
    """Return scores, and labels that are drawn with the probabilities that scores give at a temperature."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(rows, classes))
    shares = softmax(scores, temperature).cumsum(axis=1)
    return scores, (random.random((rows, 1)) > shares).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    scores, labels = drawn(temperature=temperature)
    assert fitted_temperature(scores, labels) == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_has_the_least_negative_log_likelihood():
    scores, labels = drawn(temperature=0.7, rows=300)
    best = fitted_temperature(scores, labels)
    least = negative_log_likelihood(scores, labels, best)
    grid = np.geomspace(best / 30, best * 30, 601)
    assert least <= min(negative_log_likelihood(scores, labels, float(one)) for one in grid) + 1e-12


def test_the_negative_log_likelihood_equals_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = drawn(temperature=1.0, rows=100)
    wanted = metrics.log_loss(labels, softmax(scores, 0.5), labels=np.arange(5))
    assert negative_log_likelihood(scores, labels, 0.5) == pytest.approx(wanted)


def test_a_temperature_follows_the_unit_of_scores():
    scores, labels = drawn(temperature=0.7, rows=500)
    assert fitted_temperature(50 * scores, labels) == pytest.approx(50 * fitted_temperature(scores, labels))


def test_where_all_is_right_or_nothing_is_known_the_temperature_ends_at_a_bound():
    labels = np.arange(4)
    assert fitted_temperature(np.eye(4), labels) < 1e-3
    assert fitted_temperature(-np.eye(4), labels) > 1e3


def test_with_a_doubt_rows_that_are_all_right_have_the_temperature_of_least_cross_entropy():
    scores, labels, doubt = 3 * np.eye(4), np.arange(4), 0.1
    targets = (1 - doubt) * np.eye(4) + doubt / 4
    grid = np.geomspace(0.1, 10, 2001)
    losses = [-(targets * np.log(softmax(scores, float(one)))).sum() for one in grid]
    assert fitted_temperature(scores, labels, doubt=doubt) == pytest.approx(grid[int(np.argmin(losses))], rel=5e-3)


def test_ece_is_what_a_count_by_hand_says():
    probabilities = np.array([[0.95, 0.05], [0.97, 0.03], [0.6, 0.4], [0.35, 0.65]])
    found = Reliability.of(probabilities, np.array([0, 1, 0, 1]))
    # Of 15 bins the first two rows share the last, whose mean is 0.96 and half is right; the others share that up to 2/3.
    assert found.ece == pytest.approx((2 * abs(0.96 - 0.5) + 2 * abs(0.625 - 1)) / 4)
    assert found.share.sum() == pytest.approx(1)


def test_probabilities_that_labels_were_drawn_with_have_an_ece_near_0():
    scores, labels = drawn(temperature=0.5)
    fit = TemperatureFit.of(0.5, scores, labels, before=5.0, fitted_on="nothing")
    assert fit.reliability[0].ece > 0.2
    assert fit.reliability[1].ece < 0.02
    assert fit.nll[1] < fit.nll[0]


def test_scores_of_any_size_give_probabilities():
    found = softmax(np.array([[1e6, 0.0], [-1e6, -1e6]]), 1.0)
    np.testing.assert_allclose(found, [[1, 0], [0.5, 0.5]])
