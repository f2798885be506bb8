import numpy as np

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import UnfoldedMethod, ZeroShotMethod, accuracy, class_scores
from edgezsl.zsl.semantic.latent import Latem
from tests.zsl.semantic.test_ridge import SEEN, world

QUICK = {"epochs": 40, "learning_rate": 0.03}


def test_unseen_classes_are_recognised_and_a_seed_gives_the_same_maps():
    features, labels, semantics = world()
    seen = labels < SEEN
    both = [Latem(**QUICK).fit(features[seen], labels[seen], semantics) for _ in range(2)]
    assert accuracy(both[0], features[~seen], labels[~seen], semantics) > 0.5, "chance is a quarter"
    np.testing.assert_array_equal(both[0].weights_, both[1].weights_)


def test_a_score_is_that_of_the_best_map_and_more_than_one_map_is_the_best_somewhere():
    features, labels, semantics = world()
    method = Latem(maps=3, epochs=2).fit(features, labels, semantics)
    every = np.einsum("nf,mfa,ka->mnk", unit(features), method.weights_, unit(semantics))
    np.testing.assert_allclose(class_scores(method, features, semantics), every.max(axis=0))
    assert len(np.unique(every.argmax(axis=0))) == 3


def test_several_maps_have_no_fold():
    """A folded score is linear in the embedding of an image; that of a maximum is not, however the class side is written."""
    features, labels, semantics = world()
    method = Latem(maps=3, epochs=2).fit(features, labels, semantics)
    assert isinstance(method, UnfoldedMethod)
    assert not isinstance(method, ZeroShotMethod)
    assert np.linalg.matrix_rank(method.scores(features, semantics)) > min(features.shape[1], semantics.shape[1])


def test_one_map_is_a_bilinear_compatibility_and_reaches_only_what_seen_classes_describe():
    features, labels, semantics = world()
    few = labels < 3
    method = Latem(maps=1, epochs=2).fit(features[few], labels[few], semantics)
    inside = np.linalg.svd(semantics[:3])[2]
    assert np.abs(method.weights_[0] @ inside[:3].T).max() > 1e-2
    assert np.abs(method.weights_[0] @ inside[3:].T).max() < 1e-8
