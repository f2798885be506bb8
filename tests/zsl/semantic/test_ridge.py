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


def test_the_autoencoder_of_more_attributes_than_classes_is_the_shortest_solution():
    """Where no description reaches, W is nothing: the dense system has that solution, too."""
    features, labels, _ = world()
    semantics = np.random.RandomState(1).normal(size=(SEEN + UNSEEN, 40))
    found = Sae(0.5).fit(features, labels, semantics).weights_
    X, S = unit(features).T, unit(semantics)[labels].T
    np.testing.assert_allclose(S @ S.T @ found + 0.5 * found @ X @ X.T, 1.5 * S @ X.T, atol=1e-9)
    reached = np.linalg.svd(semantics)[2]
    np.testing.assert_allclose(reached[SEEN + UNSEEN :] @ found, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PrototypeRidge, [{"penalty": 0.1}, {"penalty": 10.0}]),
        (Eszsl, [{"gamma": 0.1}, {"gamma": 10.0, "normalized": False}, {"gamma": 10.0, "lambda_": 0.3}]),
        (Sae, [{"lambda_": 0.1}, {"lambda_": 10.0}]),
    ],
)
def test_methods_that_are_fitted_together_are_those_fitted_alone(kind, settings):
    features, labels, semantics = world()
    together = list(kind.fit_each((kind(**one) for one in settings), features, labels, semantics))
    for one, method in zip(settings, together, strict=True):
        alone = kind(**one).fit(features, labels, semantics)
        np.testing.assert_array_equal(method.weights_, alone.weights_)


def test_the_fold_of_the_prototype_ridge_is_the_cosine_with_the_predicted_mean():
    features, labels, semantics = world()
    seen = labels < SEEN
    method = PrototypeRidge(0.4).fit(features[seen], labels[seen], semantics)
    means = np.array([unit(features)[labels == one].mean(axis=0) for one in range(SEEN)])
    described = unit(semantics)
    kernel = (described[:SEEN] - described[:SEEN].mean(axis=0)) @ (described - described[:SEEN].mean(axis=0)).T
    predicted = kernel.T @ np.linalg.inv(kernel[:, :SEEN] + 0.4 * np.eye(SEEN)) @ (means - means.mean(axis=0))
    for row, one in ((3, 0), (250, 14)):
        image = features[row] / np.linalg.norm(features[row]) - means.mean(axis=0)
        cosine = image @ predicted[one] / np.linalg.norm(image) / np.linalg.norm(predicted[one])
        assert class_scores(method, features[row : row + 1], semantics)[0, one] == pytest.approx(cosine)


def test_the_fold_of_eszsl_is_its_compatibility():
    features, labels, semantics = world()
    method = Eszsl().fit(features, labels, semantics)
    expected = features[3] / np.linalg.norm(features[3]) @ method.weights_ @ semantics[5] / np.linalg.norm(semantics[5])
    assert class_scores(method, features, semantics)[3, 5] == pytest.approx(expected)


def test_the_fold_of_the_autoencoder_is_the_cosine_of_its_projection():
    features, labels, semantics = world()
    method = Sae(0.5).fit(features, labels, semantics)
    projected = method.weights_ @ features[3]
    expected = projected @ semantics[5] / np.linalg.norm(projected) / np.linalg.norm(semantics[5])
    assert class_scores(method, features, semantics)[3, 5] == pytest.approx(expected)


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
