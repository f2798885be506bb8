import numpy as np
import pytest

from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.evaluate.seen_unseen import SeenUnseenCurve, harmonic

SEEN = np.array([True, False, True, False, True])


def drawn(seed, rows=60, *, ties=False):
    random = np.random.RandomState(seed)
    labels = np.concatenate([np.arange(5), random.randint(0, 5, rows - 5)])
    scores = random.normal(size=(rows, 5)) + 1.5 * np.eye(5)[labels] + 1.0 * SEEN
    return (scores.round(1) if ties else scores), labels


def by_hand(scores, labels, penalty):
    """U and S as equations 20 to 22 say, with the penalty subtracted; a tie goes to the unseen class."""
    best = np.where(SEEN, scores - penalty - 1e-9, scores).argmax(axis=1)
    seen = SEEN[labels]
    return per_class_accuracy(best[~seen], labels[~seen]), per_class_accuracy(best[seen], labels[seen])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_penalty_gives_what_subtracting_it_gives(seed, ties):
    scores, labels = drawn(seed, ties=ties)
    curve = SeenUnseenCurve.of(scores, labels, SEEN)
    for penalty in (-3, 0, 0.35, 0.95, 1.55, 2.25, 9):
        unseen, seen, mean = curve.at(penalty)
        assert (unseen, seen) == pytest.approx(by_hand(scores, labels, penalty))
        assert mean == pytest.approx(harmonic(unseen, seen))


def test_the_best_penalty_and_the_area_are_those_of_a_search_over_all():
    scores, labels = drawn(5)
    curve = SeenUnseenCurve.of(scores, labels, SEEN)
    tried = [by_hand(scores, labels, penalty) for penalty in np.linspace(-6, 6, 20001)]
    penalty, mean = curve.best()
    assert mean == pytest.approx(max(harmonic(*pair) for pair in tried))
    assert curve.at(penalty)[2] == pytest.approx(mean)
    unseen, seen = np.array(tried).T
    assert curve.area() == pytest.approx(np.trapezoid(seen, unseen), abs=1e-9)


def test_at_the_ends_one_kind_of_class_gets_every_row():
    scores, labels = drawn(6)
    curve = SeenUnseenCurve.of(scores, labels, SEEN)
    assert curve.at(-np.inf)[0] == 0
    assert curve.at(np.inf)[1] == 0


def test_a_class_counts_as_much_as_another_however_many_rows_it_has():
    scores = np.array([[2.0, 0, 0, 0, 0]] * 9 + [[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]])
    labels = np.array([0] * 9 + [2, 1])
    assert SeenUnseenCurve.of(scores, labels, SEEN).at(0.0) == pytest.approx((1.0, 0.5, 2 / 3))


def test_the_harmonic_mean_of_nothing_is_nothing():
    assert harmonic(0.0, 0.0) == 0.0
    assert harmonic(0.5, 0.5) == 0.5
