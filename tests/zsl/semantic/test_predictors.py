import numpy as np
import pytest

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.semantic.predictors import Conse, Dap, Sync
from tests.zsl.semantic.test_ridge import SEEN, UNSEEN, world

PENALTY = 1e-3


def fitted(method):
    features, labels, semantics = world()
    seen = labels < SEEN
    return method.fit(features[seen], labels[seen], semantics)


@pytest.mark.parametrize("method", [Conse(top=5), Sync(bandwidth=3.0), Dap()], ids=lambda one: type(one).__name__)
def test_unseen_classes_are_recognised(method):
    features, labels, semantics = world()
    unseen = labels >= SEEN
    assert accuracy(fitted(method), features[unseen], labels[unseen], semantics) > 0.4, "chance is a quarter"


@pytest.mark.parametrize("top", [1, 3, 99])
def test_the_fold_of_conse_is_the_cosine_of_a_convex_combination(top):
    """Equations 3 and 4 of the paper for one image: a loop over the classes in the order of their probability."""
    features, _, semantics = world()
    method = fitted(Conse(top=top, penalty=PENALTY))
    x = np.append(features[250] / np.linalg.norm(features[250]), 1)
    raised = np.exp(x @ method.classifier_)
    probabilities = raised / raised.sum()
    likeliest = sorted(range(SEEN), key=lambda one: -probabilities[one])[:top]
    combined = sum(probabilities[one] * unit(semantics)[one] for one in likeliest)
    combined /= probabilities[likeliest].sum()
    expected = [combined @ s / np.linalg.norm(combined) / np.linalg.norm(s) for s in semantics]
    np.testing.assert_allclose(class_scores(method, features[250:251], semantics)[0], expected, rtol=1e-5)


def test_a_centred_conse_opens_a_narrow_cone_of_descriptions():
    features, labels, semantics = world()
    described = unit(unit(semantics) + 20)
    seen = labels < SEEN
    plain, centred = (
        class_scores(Conse(centred=one).fit(features[seen], labels[seen], described), features, described)
        for one in (False, True)
    )
    assert plain.min() > 0.99
    assert centred.min() < -0.5
    assert centred.max() > 0.9


def test_the_fold_of_dap_is_the_posterior_of_its_paper():
    """Equation 2 of the paper for every image and class: a product over attributes, divided by the prior."""
    features, labels, semantics = world()
    method = fitted(Dap(penalty=PENALTY))
    shares = semantics / np.abs(semantics).max(axis=1, keepdims=True)
    has = shares > shares[:SEEN].mean(axis=0)
    x = np.column_stack([unit(features), np.ones(len(labels))])
    likely = 1 / (1 + np.exp(-(x @ method.predictors_)))
    prior = has[:SEEN].mean(axis=0)
    posterior = np.ones((len(labels), SEEN + UNSEEN))
    for one in range(SEEN + UNSEEN):
        for attribute in range(semantics.shape[1]):
            p = likely[:, attribute] if has[one, attribute] else 1 - likely[:, attribute]
            posterior[:, one] *= p / (prior[attribute] if has[one, attribute] else 1 - prior[attribute])
    np.testing.assert_allclose(class_scores(method, features, semantics), np.log(posterior), atol=1e-4)


def test_an_attribute_that_all_seen_classes_share_does_not_count():
    features, labels, semantics = world()
    seen = labels < SEEN
    semantics = np.column_stack([semantics, np.full(len(semantics), 9.0)])  # the largest one of every class
    shared = np.column_stack([semantics, np.zeros(len(semantics)), np.full(len(semantics), 9.0)])
    shared[-1, -2:] = 8.0, 0.0
    both = [Dap().fit(features[seen], labels[seen], given) for given in (semantics, shared)]
    np.testing.assert_allclose(
        class_scores(both[1], features, shared), class_scores(both[0], features, semantics), atol=1e-5
    )


def test_binary_attributes_stay_what_they_are():
    features, labels, semantics = world()
    binary = (semantics > 0).astype(float)
    method = Dap().fit(features, labels, binary)
    np.testing.assert_array_equal(method.attributes(binary), binary[:, method.kept_])


def test_the_fold_of_sync_is_the_combination_of_phantom_classifiers():
    """Equations 2 and 3 of the paper, class by class; of a seen class its own classifier comes out."""
    features, labels, semantics = world()
    method = fitted(Sync(bandwidth=0.5, penalty=PENALTY))
    a = unit(semantics)
    apart = [np.square(a[c] - a[r]).sum() for c in range(SEEN) for r in range(SEEN) if c != r]
    width = 0.5 * np.median(apart)
    x = np.column_stack([unit(features), np.ones(len(labels))])
    for one in range(SEEN + UNSEEN):
        near = np.exp(-np.square(a[one] - a[:SEEN]).sum(axis=1) / width)
        row = sum(share * v for share, v in zip(near / near.sum(), method.rows_, strict=True))
        np.testing.assert_allclose(class_scores(method, features, semantics[one : one + 1])[:, 0], x @ row, atol=1e-8)


def test_sync_takes_classes_whose_descriptions_are_the_same():
    features, labels, semantics = world()
    same = semantics.copy()
    same[: SEEN - 1] = semantics[0]
    for described in (same, np.repeat(semantics[:1], len(semantics), axis=0)):
        vectors, bias = Sync().fit(features, labels, described).prototypes(semantics)
        assert np.isfinite(vectors).all()
        assert np.isfinite(bias).all()


def test_sync_is_the_minimum_of_its_loss():
    """Equation 5 of the paper: the slope of the loss by the phantom classifiers V, written out, is nothing."""
    features, labels, semantics = world()
    seen = labels < SEEN
    method = fitted(Sync(bandwidth=0.5, penalty=PENALTY, steps=2000))
    x = np.column_stack([unit(features[seen]), np.ones(seen.sum())])
    s = method.shares(unit(semantics[:SEEN]))
    y = np.where(labels[seen][:, None] == np.arange(SEEN), 1.0, -1.0)

    def slope(v):
        w = s @ v
        hinge = np.maximum(0, 1 - y * (x @ w.T))
        return s.T @ ((-2 * y * hinge).T @ x / len(x) + PENALTY * w)

    start = np.abs(slope(np.zeros_like(method.rows_))).max()
    assert np.abs(slope(method.rows_)).max() < 1e-4 * start


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Conse, [{"top": 1}, {"top": 5}, {"top": 5, "penalty": 1e-2}, {"top": 5, "centred": True}]),
        (Sync, [{"bandwidth": 0.3}, {"bandwidth": 3.0}, {"bandwidth": 3.0, "penalty": 1e-2}]),
    ],
)
def test_methods_that_are_fitted_together_are_those_fitted_alone(kind, settings):
    features, labels, semantics = world()
    together = kind.fit_each((kind(**one) for one in settings), features, labels, semantics)
    for one, method in zip(settings, list(together), strict=True):
        alone = kind(**one).fit(features, labels, semantics)
        np.testing.assert_array_equal(
            class_scores(method, features, semantics), class_scores(alone, features, semantics)
        )
