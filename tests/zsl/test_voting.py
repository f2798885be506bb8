import numpy as np
import pytest
import torch

from edgezsl.zsl.fusion import HeldScores, Member, held_scores
from edgezsl.zsl.method import UnfoldedMethod, ZeroShotMethod, accuracy, class_scores
from edgezsl.zsl.semantic.latent import Latem
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge
from edgezsl.zsl.voting import (
    HardVoting,
    NetworkStacking,
    SoftVoting,
    hard_votes,
    network_scores,
    sharpness_of,
    soft_votes,
    stacking_network,
)
from tests.zsl.test_fusion import noisy_scores
from tests.zsl.worlds import feature_set

SCORES = np.array([[[3.0, 1.0, 0.0]], [[0.0, 0.3, 0.2]], [[0.0, 0.3, 0.2]]])  # three members, one row, three classes


def test_the_class_with_most_votes_wins_however_sure_the_others_are():
    votes = hard_votes(SCORES)
    assert np.floor(votes).tolist() == [[1, 2, 0]]
    assert votes.argmax() == 1
    assert SCORES.mean(axis=0).argmax() == 0


def test_of_classes_with_as_many_votes_the_higher_mean_wins():
    assert hard_votes(SCORES[:2]).argmax() == 0
    assert hard_votes(SCORES[:2] * [[[1.0]], [[100.0]]]).argmax() == 1


def test_a_soft_vote_is_the_mean_of_probabilities():
    found = soft_votes(SCORES[:2], (1.0, 10.0))
    first = np.exp([3.0, 1, 0]) / np.exp([3.0, 1, 0]).sum()
    second = np.exp([0.0, 3, 2]) / np.exp([0.0, 3, 2]).sum()
    np.testing.assert_allclose(found[0], (first + second) / 2)


def test_a_sharpness_is_that_of_the_likeliest_probabilities():
    """Of a right class that is 1 ahead of noise of spread s, Bayes says 1 / s²."""
    np.testing.assert_allclose(sharpness_of(noisy_scores((1.0, 2.0), rows=20000)), (1.0, 0.25), atol=0.05)


def test_a_network_learns_what_no_weighted_sum_says():
    """Only one of two members speaks of each row, and the other is loud and wrong: a short fall from the best tells which."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 5, 600)
    right = np.eye(5)[targets]
    wrong = np.eye(5)[random.integers(0, 5, 600)]
    speaks = random.random(600)[:, None] < 0.5
    quiet = 0.1 * random.normal(size=(2, 600, 5))
    scores = np.array([np.where(speaks, right, 3 * wrong), np.where(speaks, 3 * wrong, right)]) + quiet
    network = stacking_network(HeldScores(scores[:, :400], targets[:400]), epochs=400)
    found = network_scores(network, scores[:, 400:]).argmax(axis=1)
    summed = scores[:, 400:].sum(axis=0).argmax(axis=1)
    assert (found == targets[400:]).mean() > (summed == targets[400:]).mean() + 0.3


def test_a_seed_gives_the_same_network():
    held = noisy_scores((1.0, 2.0))
    both = [network_scores(stacking_network(held, epochs=5, seed=1), held.scores) for _ in range(2)]
    np.testing.assert_array_equal(*both)
    assert np.abs(both[0] - network_scores(stacking_network(held, epochs=5, seed=2), held.scores)).max() > 1e-3


def members():
    return (
        Member("prototype-ridge", PrototypeRidge()),
        Member("eszsl", Eszsl()),
        Member("latem", Latem(maps=2, epochs=20, learning_rate=0.01)),
    )


@pytest.mark.parametrize("kind", ["hard", "soft", "network"])
def test_methods_that_vote_recognise_unseen_classes_and_do_not_fold(kind):
    data = feature_set(noise=0.3)
    if kind == "hard":
        method = HardVoting(members())
    else:
        held = held_scores(members(), data)
        method = (
            SoftVoting(members(), sharpness_of(held))
            if kind == "soft"
            else NetworkStacking(members(), stacking_network(held))
        )
    method.fit(*data.of("trainval"), data.semantics)
    assert isinstance(method, UnfoldedMethod)
    assert not isinstance(method, ZeroShotMethod)
    features, labels = data.of("test_unseen")
    assert accuracy(method, features, labels, data.semantics) > 0.5, "chance is a sixth"


def test_what_a_vote_says_of_a_class_depends_on_the_classes_beside_it():
    data = feature_set()
    method = SoftVoting(members()[:2], (1.0, 1.0)).fit(*data.of("trainval"), data.semantics)
    whole, part = (class_scores(method, data.features, data.semantics[:count]) for count in (20, 10))
    assert np.abs(whole[:, :10] - part).max() > 0.01
    torch.testing.assert_close(torch.from_numpy(whole.sum(axis=1)), torch.ones(len(whole), dtype=torch.float64))
