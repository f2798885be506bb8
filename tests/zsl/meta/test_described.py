import numpy as np
import pytest

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.meta.described import DescribedProtoNet
from edgezsl.zsl.method import accuracy, class_scores
from tests.zsl.semantic.test_ridge import SEEN, world

QUICK = {"dim": 8, "episodes": 300, "ways": 6, "learning_rate": 0.02}


def fitted(**settings):
    features, labels, semantics = world()
    seen = labels < SEEN
    return DescribedProtoNet(**{**QUICK, **settings}).fit(features[seen], labels[seen], semantics)


def test_unseen_classes_are_recognised():
    features, labels, semantics = world()
    unseen = labels >= SEEN
    assert accuracy(fitted(), features[unseen], labels[unseen], semantics) > 0.7, "chance is a quarter"


def test_the_best_score_is_that_of_the_nearest_prototype():
    features, _, semantics = world()
    method = fitted()
    mapped, prototypes = unit(features) @ method.image_map_, unit(unit(semantics) @ method.class_map_)
    squared = np.square(mapped[:, None] - prototypes).sum(axis=2)
    folded = class_scores(method, features, semantics)
    np.testing.assert_allclose(2 * (folded - folded[:, :1]), squared[:, :1] - squared, atol=1e-9)


def test_a_seed_gives_the_same_maps_and_another_gives_others():
    first, again, other = fitted(), fitted(), fitted(seed=1)
    np.testing.assert_array_equal(first.image_map_, again.image_map_)
    assert np.abs(first.image_map_ - other.image_map_).max() > 1e-3


@pytest.mark.parametrize("ways", [2, 500])
def test_an_episode_may_ask_for_more_classes_than_there_are(ways):
    assert np.isfinite(fitted(ways=ways, episodes=3).image_map_).all()
