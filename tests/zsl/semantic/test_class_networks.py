import numpy as np
import pytest
import torch

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.semantic.class_networks import ClassNetworkSchedule, ClassNormalized, Dem
from tests.zsl.semantic.test_ridge import SEEN, world

QUICK = ClassNetworkSchedule(width=32, epochs=60, learning_rate=0.01, batch=64)
METHODS = [Dem(QUICK), ClassNormalized(QUICK)]
NAMES = {"argvalues": METHODS, "ids": lambda one: type(one).__name__}


def positive_world(seed=0):
    """As `world`, with features that are not negative: those of a network that ends in a rectifier."""
    features, labels, semantics = world(seed)
    return np.maximum(features, 0), labels, semantics


@pytest.mark.parametrize("method", **NAMES)
def test_unseen_classes_are_recognised(method):
    features, labels, semantics = positive_world()
    seen = labels < SEEN
    method.fit(features[seen], labels[seen], semantics)
    assert accuracy(method, features[~seen], labels[~seen], semantics) > 0.5, "chance is a quarter"


@pytest.mark.parametrize("method", **NAMES)
def test_a_prototype_does_not_depend_on_the_classes_beside_it(method):
    features, labels, semantics = positive_world()
    method.fit(features, labels, semantics)
    whole, alone = method.prototypes(semantics), method.prototypes(semantics[4:5])
    np.testing.assert_allclose(alone[0], whole[0][4:5], atol=1e-6)
    np.testing.assert_allclose(alone[1], whole[1][4:5], atol=1e-6)


def test_the_best_score_of_the_embedding_model_is_that_of_the_nearest_prediction():
    features, labels, semantics = positive_world()
    method = Dem(QUICK).fit(features, labels, semantics)
    predicted = method.prototypes(semantics)[0]
    squared = np.square(unit(features)[:, None] - predicted).sum(axis=2)
    folded = class_scores(method, features, semantics)
    np.testing.assert_allclose(2 * (folded - folded[:, :1]), squared[:, :1] - squared, atol=1e-6)


def test_the_fold_of_a_class_normalised_network_is_the_cosine_with_its_answer():
    features, labels, semantics = positive_world()
    method = ClassNormalized(QUICK).fit(features, labels, semantics)
    described = torch.from_numpy(unit(semantics[5:6]).astype(np.float32))
    with torch.no_grad():
        answer = method.network_(described)[0].numpy()
    expected = features[3] @ answer / np.linalg.norm(features[3]) / np.linalg.norm(answer)
    assert class_scores(method, features, semantics)[3, 5] == pytest.approx(expected, abs=1e-6)


def test_a_class_normalised_network_standardises_over_seen_classes():
    features, labels, semantics = positive_world()
    seen = labels < SEEN
    method = ClassNormalized(QUICK).fit(features[seen], labels[seen], semantics)
    with torch.no_grad():
        hidden = method.network_[:6](torch.from_numpy(unit(semantics[:SEEN]).astype(np.float32))).numpy()
    alive = hidden.std(axis=0) > 0
    assert alive.mean() > 0.5
    np.testing.assert_allclose(hidden[:, alive].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(hidden[:, alive].std(axis=0), 1, atol=1e-2)


def test_a_class_normalised_network_answers_of_seen_classes_what_it_answered_in_training():
    features, labels, semantics = positive_world()
    seen = labels < 3  # so few that the variance of a sample is half as much again as that of the rows
    method = ClassNormalized(QUICK).fit(features[seen], labels[seen], semantics)
    stored = method.prototypes(semantics[:3])[0]
    method.network_.train()
    with torch.no_grad():
        trained = method.network_(torch.from_numpy(unit(semantics[:3]).astype(np.float32))).numpy()
    np.testing.assert_allclose(stored, unit(trained), atol=1e-3)


def test_the_last_layer_starts_so_that_rows_have_the_length_of_an_image():
    """Standardised units times weights of variance 1 / (width · out): the squared length of a row is 1 in the mean."""
    random = np.random.RandomState(0)
    features, labels = random.rand(400, 64), np.arange(400) % 100
    method = ClassNormalized(ClassNetworkSchedule(width=256, epochs=0)).fit(
        features, labels, random.normal(size=(100, 20))
    )
    with torch.no_grad():
        rows = method.network_[:7](torch.from_numpy(unit(random.normal(size=(100, 20))).astype(np.float32))).numpy()
    assert 0.5 < np.square(rows).sum(axis=1).mean() < 2
