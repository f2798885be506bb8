import numpy as np
import pytest

from edgezsl.evaluate.metrics import auroc, fpr95, per_class_accuracy

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
