import numpy as np
import pytest
import torch

from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.semantic.bilinear import LOSSES, Bilinear
from tests.zsl.semantic.test_ridge import SEEN, world

SCORES = torch.tensor([[0.5, 0.45, 0.1, 0.7]])
TARGETS = torch.tensor([0])


@pytest.mark.parametrize(("ranking", "expected"), [("devise", 0.05 + 0.3), ("ale", 1.5 / 2 * 0.35), ("sje", 0.3)])
def test_each_loss_is_that_of_its_paper(ranking, expected):
    """By hand: with a margin of 0.1 the second class violates by 0.05 and the fourth by 0.3."""
    assert LOSSES[ranking](SCORES, TARGETS, 0.1).item() == pytest.approx(expected)


@pytest.mark.parametrize("ranking", LOSSES)
def test_nothing_is_lost_where_the_right_class_is_ahead_by_the_margin(ranking):
    assert LOSSES[ranking](torch.tensor([[1.0, 0.9, 0.2]]), TARGETS, 0.1).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("ranking", LOSSES)
def test_unseen_classes_are_recognised_and_a_seed_gives_the_same_weights(ranking):
    features, labels, semantics = world()
    seen = labels < SEEN
    method = Bilinear(ranking, epochs=40, learning_rate=0.03).fit(features[seen], labels[seen], semantics)
    assert accuracy(method, features[~seen], labels[~seen], semantics) > 0.5, "chance is a quarter"
    again = Bilinear(ranking, epochs=40, learning_rate=0.03).fit(features[seen], labels[seen], semantics)
    np.testing.assert_array_equal(method.weights_, again.weights_)
    other = Bilinear(ranking, epochs=40, learning_rate=0.03, seed=1).fit(features[seen], labels[seen], semantics)
    assert np.abs(method.weights_ - other.weights_).max() > 1e-3


def test_the_fold_is_the_compatibility_itself():
    features, labels, semantics = world()
    method = Bilinear(epochs=1).fit(features, labels, semantics)
    x, s = features[3], semantics[5]
    expected = x / np.linalg.norm(x) @ method.weights_ @ (s / np.linalg.norm(s))
    assert class_scores(method, features[3:4], semantics[5:6])[0, 0] == pytest.approx(expected)
