import numpy as np
import pytest

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import accuracy, class_means, class_scores
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae

SEEN, UNSEEN, FEATURES, ATTRIBUTES = 12, 4, 9, 5


def world(seed=0, each=20, noise=0.3):
    """Features that are a linear map of what describes their class, with noise; the last classes are not for fitting."""
    random = np.random.RandomState(seed)
    semantics = random.normal(size=(SEEN + UNSEEN, ATTRIBUTES))
    labels = np.repeat(np.arange(SEEN + UNSEEN), each)
    features = semantics[labels] @ random.normal(size=(ATTRIBUTES, FEATURES))
    features += noise * random.normal(size=features.shape)
    return features, labels, semantics


METHODS = [PrototypeRidge(0.1), Eszsl(1.0, 0.1), Sae(1.0)]


@pytest.mark.parametrize("method", METHODS, ids=lambda one: type(one).__name__)
def test_unseen_classes_are_recognised_where_descriptions_say_what_images_show(method):
    features, labels, semantics = world()
    seen = labels < SEEN
    method.fit(features[seen], labels[seen], semantics)
    assert accuracy(method, features[~seen], labels[~seen], semantics) > 0.8


@pytest.mark.parametrize("method", METHODS, ids=lambda one: type(one).__name__)
def test_scores_are_one_product_and_do_not_depend_on_what_else_is_asked(method):
    features, labels, semantics = world()
    method.fit(features, labels, semantics)
    whole = class_scores(method, features, semantics)
    vectors, bias = method.prototypes(semantics)
    assert vectors.shape[1] == method.embed(features).shape[1]
    np.testing.assert_allclose(class_scores(method, features[5:6], semantics[[7, 2]]), whole[5:6, [7, 2]])
    np.testing.assert_allclose(whole, method.embed(features) @ vectors.T + bias)


def test_eszsl_is_the_minimum_of_its_loss():
    """Equation 4 of the paper, its normal equations as one dense system of Kronecker products."""
    features, labels, semantics = world()
    gamma, lambda_ = 0.7, 0.3
    found = Eszsl(gamma, lambda_).fit(features, labels, semantics).weights_
    X, S = unit(features).T, unit(semantics).T
    Y = np.where(labels[:, None] == np.arange(SEEN + UNSEEN), 1.0, -1.0)
    left, right = X @ X.T + gamma * np.eye(FEATURES), S @ S.T + lambda_ * np.eye(ATTRIBUTES)
    dense = np.linalg.solve(np.kron(left, right), (X @ Y @ S.T).ravel()).reshape(FEATURES, ATTRIBUTES)
    np.testing.assert_allclose(found, dense, rtol=1e-8)


def test_the_autoencoder_is_the_minimum_of_its_loss():
    """Equation 4 of the paper: the slope of the loss at W is nothing, by one dense system."""
    features, labels, semantics = world()
    found = Sae(0.5).fit(features, labels, semantics).weights_
    X, S = unit(features).T, unit(semantics)[labels].T
    dense = np.kron(S @ S.T, np.eye(FEATURES)) + np.kron(np.eye(ATTRIBUTES), 0.5 * X @ X.T)
    expected = np.linalg.solve(dense, (1.5 * S @ X.T).ravel()).reshape(ATTRIBUTES, FEATURES)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_dual_form_of_the_ridge_is_the_primal_one():
    features, labels, semantics = world()
    method = PrototypeRidge(0.4).fit(features, labels, semantics)
    centred = unit(semantics) - unit(semantics).mean(axis=0)
    means = class_means(unit(features), labels)[1]
    primal = np.linalg.solve(centred.T @ centred + 0.4 * np.eye(ATTRIBUTES), centred.T @ (means - means.mean(axis=0)))
    np.testing.assert_allclose(method.weights_, primal, rtol=1e-8)


def test_the_mean_of_a_class_is_that_of_its_rows():
    features, labels, _ = world()
    shuffled = np.random.RandomState(1).permutation(len(labels))
    classes, means = class_means(features[shuffled], labels[shuffled])
    assert classes.tolist() == list(range(SEEN + UNSEEN))
    np.testing.assert_allclose(means[3], features[labels == 3].mean(axis=0))
