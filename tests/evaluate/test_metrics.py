import numpy as np
import pytest

from edgezsl.evaluate.metrics import (
    auroc,
    confusion_matrix,
    fpr95,
    macro_f1,
    mean_average_precision,
    own_ranks,
    per_class_accuracy,
    top_k_accuracy,
)

rng = np.random.default_rng(0)


def test_each_class_counts_the_same():
    labels = np.array([0] * 98 + [1] * 2)
    predicted = np.array([0] * 98 + [0, 1])
    assert per_class_accuracy(predicted, labels) == pytest.approx(0.75)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    inside, outside = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 30).astype(float)
    above = inside[:, None] > outside[None]
    ties = inside[:, None] == outside[None]
    assert auroc(inside, outside) == pytest.approx((above + ties / 2).mean())


def test_auroc_equals_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    inside, outside = rng.standard_normal(300) + 1, rng.standard_normal(200)
    labels = np.r_[np.ones(300), np.zeros(200)]
    assert auroc(inside, outside) == pytest.approx(metrics.roc_auc_score(labels, np.r_[inside, outside]))


def test_fpr95_counts_what_passes_where_95_percent_pass():
    inside = np.arange(100.0)  # the 95 highest begin at 5
    assert fpr95(inside, np.array([4.0, 5.0, 50.0, 2.0])) == 0.5
    assert fpr95(inside, np.array([-1.0])) == 0.0


def some_scores(*, rows=200, classes=7, levels=0, seed=1):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - 1, rows)  # the last class has no row
    scores = random.standard_normal((rows, classes)) + 1.2 * (np.arange(classes) == labels[:, None])
    return (np.round(scores * levels) / levels if levels else scores), labels


def test_a_row_of_equal_scores_goes_to_the_first_column():
    assert own_ranks(np.array([[1.0, 1.0, 0.0]] * 3), np.array([0, 1, 2])).tolist() == [0, 1, 2]


@pytest.mark.parametrize("k", [1, 3])
def test_top_k_accuracy_is_the_mean_over_classes_of_that_of_scikit_learn(k):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = some_scores()
    each = [
        metrics.top_k_accuracy_score(labels[labels == one], scores[labels == one], k=k, labels=np.arange(7))
        for one in np.unique(labels)
    ]
    assert top_k_accuracy(scores, labels, k) == pytest.approx(np.mean(each))


def test_top_1_accuracy_is_per_class_accuracy():
    scores, labels = some_scores(levels=2)
    assert top_k_accuracy(scores, labels, 1) == pytest.approx(per_class_accuracy(scores.argmax(axis=1), labels))


@pytest.mark.parametrize("levels", [0, 2], ids=["all different", "many equal"])
def test_mean_average_precision_equals_that_of_scikit_learn(levels):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = some_scores(levels=levels)
    each = [metrics.average_precision_score(labels == one, scores[:, one]) for one in np.unique(labels)]
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(each))


def test_macro_f1_and_confusion_equal_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = some_scores()
    best = scores.argmax(axis=1)
    wanted = metrics.f1_score(labels, best, labels=np.unique(labels), average="macro")
    assert macro_f1(best, labels) == pytest.approx(wanted)
    confusion = metrics.confusion_matrix(labels, best, labels=np.arange(7))
    np.testing.assert_array_equal(confusion_matrix(best, labels, 7), confusion)
