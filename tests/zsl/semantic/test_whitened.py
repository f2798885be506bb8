import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import accuracy, class_means
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.semantic.whitened import Whitened, whitened_ridge
from tests.zsl.semantic.test_ridge import FEATURES, SEEN, world


def covariance_within(rows, labels):
    """The covariance around the mean of each class, by a loop over classes."""
    return sum(np.cov(rows[labels == one].T, bias=True) * np.mean(labels == one) for one in np.unique(labels))


def test_the_covariance_within_classes_becomes_that_of_the_definition():
    features, labels, semantics = world()
    method = whitened_ridge(shrinkage=0.5, power=0.5).fit(features, labels, semantics)
    rows = unit(np.sign(features) * np.sqrt(np.abs(features)))
    before = covariance_within(rows, labels)
    scale = np.trace(before) / FEATURES
    expected = before @ np.linalg.inv(before / scale + 0.5 * np.eye(FEATURES))
    np.testing.assert_allclose(covariance_within(method.whitened(features), labels), expected, atol=1e-10)


def test_with_hardly_any_shrinkage_images_of_a_class_differ_alike_in_every_direction():
    features, labels, semantics = world()
    method = whitened_ridge(shrinkage=1e-9).fit(features, labels, semantics)
    spread = np.linalg.eigvalsh(covariance_within(method.whitened(features), labels))
    np.testing.assert_allclose(spread, spread.mean(), rtol=1e-4)


def test_with_all_the_shrinkage_there_is_the_method_is_the_inner_one():
    features, labels, semantics = world()
    method = whitened_ridge(shrinkage=1e9, penalty=0.1).fit(features, labels, semantics)
    inner = PrototypeRidge(0.1).fit(features, labels, semantics)
    np.testing.assert_allclose(method.prototypes(semantics)[0], inner.prototypes(semantics)[0], atol=1e-6)


def test_what_images_of_every_class_differ_in_counts_for_less():
    features, labels, semantics = world(noise=0.1)
    random = np.random.default_rng(3)
    nuisance = random.normal(size=(len(labels), 2)) @ random.normal(size=(2, FEATURES))
    features = features + 8 * nuisance
    seen = labels < SEEN
    reached = [
        accuracy(method.fit(features[seen], labels[seen], semantics), features[~seen], labels[~seen], semantics)
        for method in (PrototypeRidge(0.1), whitened_ridge(shrinkage=0.01, penalty=0.1))
    ]
    assert reached[1] > reached[0] + 0.2


def test_methods_that_are_fitted_together_share_no_state():
    features, labels, semantics = world()
    settings = [
        {"power": power, "shrinkage": shrinkage, "penalty": penalty}
        for power in (0.5, 1.0)
        for shrinkage in (1.0, 10.0)
        for penalty in (0.1, 10.0)
    ]
    together = list(Whitened.fit_each((whitened_ridge(**one) for one in settings), features, labels, semantics))
    for one, method in zip(settings, together, strict=True):
        alone = whitened_ridge(**one).fit(features, labels, semantics)
        np.testing.assert_array_equal(alone.embed(features), method.embed(features))
        np.testing.assert_array_equal(alone.prototypes(semantics)[0], method.prototypes(semantics)[0])


def test_a_class_of_one_image_and_features_that_are_nothing_do_no_harm():
    features, labels, semantics = world()
    alone = np.concatenate([np.flatnonzero(labels == one)[:1] for one in range(SEEN)])
    method = whitened_ridge().fit(features[alone], labels[alone], semantics)
    assert np.isfinite(method.prototypes(semantics)[0]).all()
    assert np.isfinite(method.embed(np.zeros((1, FEATURES)))).all()
    assert len(class_means(features[alone], labels[alone])[0]) == SEEN


@pytest.mark.parametrize("wrong", [{"shrinkage": 0.0}, {"power": -1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError) as caught:
        whitened_ridge(**wrong)
    assert caught.value.code == "bad_setting"
