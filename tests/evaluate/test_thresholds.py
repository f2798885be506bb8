import json

import numpy as np
import pytest

from edgezsl.evaluate.metrics import auroc
from edgezsl.evaluate.thresholds import (
    Decisions,
    Rejection,
    ThresholdFit,
    threshold_of_false_accepts,
    thresholds_of_best_f1,
    thresholds_of_false_accepts,
)

SHARES = [0.0, 0.01, 0.05, 0.29, 0.5, 1.0]


def scored(*, rows=300, classes=4, seed=0):
    """Return scores `(rows, classes)` float32 and labels, of which a fifth is of no class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    labels[::5] = -1
    scores = random.normal(size=(rows, classes)) + 1.5 * (np.arange(classes) == labels[:, None])
    return scores.astype(np.float32), labels


@pytest.mark.parametrize("share", SHARES)
def test_no_more_than_the_share_passes_and_a_lower_threshold_lets_more_pass(share):
    scores = np.random.default_rng(1).normal(size=100).astype(np.float32)
    threshold = threshold_of_false_accepts(scores, share)
    assert (scores >= threshold).mean() <= share + 1e-9
    if np.isfinite(threshold):
        lower = np.nextafter(np.float32(threshold), np.float32(-np.inf))
        assert (scores >= lower).mean() > share


def test_scores_that_are_equal_pass_together_or_not_at_all():
    assert threshold_of_false_accepts(np.array([1.0, 1.0, 1.0, 0.0]), 0.5) > 1.0


@pytest.mark.parametrize("share", SHARES)
def test_false_accepts_of_each_class_are_held_by_the_lowest_threshold_that_does_it(share):
    scores, labels = scored()
    found = thresholds_of_false_accepts(scores, labels, share)
    best, peak = scores.argmax(axis=1), scores.max(axis=1)
    for column, threshold in enumerate(found):
        others = labels != column
        accepted = (best == column) & others
        if np.isnan(threshold):
            assert accepted.sum() <= share * others.sum() + 1e-9
        else:
            assert (accepted & (peak >= threshold)).sum() <= share * others.sum() + 1e-9
            lower = np.nextafter(np.float32(threshold), np.float32(-np.inf))
            assert (accepted & (peak >= lower)).sum() > share * others.sum()


def test_no_threshold_has_a_higher_f1_than_the_one_that_is_found():
    scores, labels = scored()
    best, peak = scores.argmax(axis=1), scores.max(axis=1)

    def f1(column, threshold):
        decided, own = (best == column) & (peak >= threshold), labels == column
        return 2 * (decided & own).sum() / (decided.sum() + own.sum())

    for column, threshold in enumerate(thresholds_of_best_f1(scores, labels)):
        highest = max(f1(column, one) for one in [-np.inf, *peak[best == column]])
        assert f1(column, -np.inf if np.isnan(threshold) else threshold) == pytest.approx(highest)


def test_a_class_that_wins_nothing_of_its_own_has_no_threshold_of_best_f1():
    scores, labels = np.array([[1.0, 0.0], [0.9, 0.0]]), np.array([1, 1])
    assert np.isnan(thresholds_of_best_f1(scores, labels)).all()


def test_decisions_are_what_a_count_by_hand_says():
    scores = np.array([[0.9, 0.1], [0.4, 0.1], [0.8, 0.1], [0.1, 0.3], [0.7, 0.0]])
    labels = np.array([0, 0, 1, 1, -1])
    limits = np.array([0.5, np.nan])
    found = Decisions.of(scores, labels, limits)
    assert (found.right, found.wrong, found.accepted) == (0.5, 0.25, 1.0)
    assert Decisions.of(scores[:4], labels[:4], limits).accepted is None


def test_thresholds_are_found_on_some_images_and_judged_on_others():
    names = ("a", "b", "c", "d")
    fitted, judged = scored(seed=0), scored(seed=1)
    found = ThresholdFit.of(names, fitted, judged)
    ruined = ThresholdFit.of(names, fitted, (judged[0] * 0 + np.float32(9), judged[1]))
    for words, limits in found.thresholds.items():
        np.testing.assert_array_equal(limits, ruined.thresholds[words])
        assert found.decisions[words] == Decisions.of(*judged, limits)
    assert json.dumps(found.to_json(), allow_nan=False)
    assert found.decisions["no thresholds"].accepted == 1.0
    assert found.decisions["at most 1% false accepts"].accepted < 0.2


def test_rejection_says_what_passes_of_images_that_the_threshold_was_not_found_on():
    inside, outside = np.array([3.0, 4.0, 5.0, 1.0]), np.array([0.0, 2.0, 1.5])
    found = Rejection(("x",), inside, outside).with_threshold(2.0, inside[:2], outside[1:])
    assert found.passing == (1.0, 0.5)
    assert found.to_json()["auroc"] == pytest.approx(auroc(inside, outside), abs=1e-6)
    assert Rejection(("x",), inside, outside).to_json()["passing"] is None
