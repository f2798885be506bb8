from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge
from edgezsl.zsl.transfer.refinement import TrustRegion, refined, refined_prototypes
from tests.zsl.worlds import feature_set


def scene(*, classes=5, per_class=30, dim=12, off=0.6, noise=0.3, seed=0):
    """Return prototypes that lie off the middle of their classes, and images with the class of each."""
    random = np.random.default_rng(seed)
    middles = unit(random.normal(size=(classes, dim)))
    predicted = unit(middles + off * unit(random.normal(size=(classes, dim))))
    targets = np.repeat(np.arange(classes), per_class)
    return predicted, unit(middles[targets] + noise * random.normal(size=(len(targets), dim))), targets


def angles(first, second):
    return np.arccos(np.clip((first * second).sum(axis=1), -1, 1))


@pytest.mark.parametrize("radius", [0.05, 0.3, 1.0])
def test_no_prototype_leaves_the_trust_region_and_one_that_wants_to_lies_on_its_border(radius):
    predicted, images, _ = scene(off=2.0)
    found = refined(predicted, images, TrustRegion(radius))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert angles(found, predicted).max() == pytest.approx(radius, abs=1e-6) or radius == 1.0
    assert angles(found, predicted).max() <= radius + 1e-6


def test_with_a_radius_of_0_or_without_images_nothing_moves():
    predicted, images, _ = scene()
    np.testing.assert_array_equal(refined(predicted, images, TrustRegion(0.0)), predicted)
    np.testing.assert_array_equal(refined(predicted, images[:0], TrustRegion(0.5)), predicted)


def test_the_order_of_images_and_of_classes_changes_nothing():
    predicted, images, _ = scene()
    region = TrustRegion(0.4)
    found = refined(predicted, images, region)
    random = np.random.default_rng(1)
    rows, classes = random.permutation(len(images)), random.permutation(len(predicted))
    np.testing.assert_allclose(refined(predicted, images[rows], region), found, atol=1e-12)
    np.testing.assert_allclose(refined(predicted[classes], images, region), found[classes], atol=1e-12)


def test_one_round_is_what_a_count_by_hand_says():
    """Two classes, two images: shares by the softmax, the mean of images with the description as κ more, cut off at the radius."""
    predicted, images = np.eye(2), unit(np.array([[1.0, 0.5], [0.2, 1.0]]))
    region = TrustRegion(0.2, sharpness=3.0, kappa=0.5, rounds=1)
    found = refined(predicted, images, region)
    for number in range(2):
        wanted = 0.5 * predicted[number]
        for image in images:
            scores = np.exp(3.0 * image)
            wanted = wanted + scores[number] / scores.sum() * image
        turn = min(0.2, np.arccos(wanted[number] / np.linalg.norm(wanted)))
        assert found[number, number] == pytest.approx(np.cos(turn))
        assert found[number, 1 - number] == pytest.approx(np.sin(turn))


def test_prototypes_that_lie_off_come_nearer_to_their_images_and_answer_better():
    predicted, images, targets = scene(off=1.0, noise=0.25)
    found = refined(predicted, images, TrustRegion(0.6))
    middles = unit(np.array([images[targets == one].mean(axis=0) for one in range(len(predicted))]))
    assert angles(found, middles).mean() < angles(predicted, middles).mean() - 0.1
    before, after = ((images @ one.T).argmax(axis=1) == targets for one in (predicted, found))
    assert after.mean() >= before.mean()


def test_a_class_that_no_image_is_of_stays_nearer_to_its_description_than_one_with_images():
    predicted, images, targets = scene(classes=6, noise=0.1, dim=30)
    found = refined(predicted, images[targets > 0], TrustRegion(1.0))
    moved = angles(found, predicted)
    assert moved[0] < moved[1:].min()


def test_a_method_is_refined_by_features_alone():
    """The labels of what is judged may be anything: they are not given."""
    data = feature_set()
    method = PrototypeRidge().fit(*data.of("trainval"), data.semantics)
    features, labels = data.of("test_unseen")
    semantics = data.semantics[np.unique(labels)]
    found = refined_prototypes(method, semantics, features, TrustRegion(0.3))
    np.testing.assert_array_equal(
        found, refined(method.prototypes(semantics)[0], method.embed(features), TrustRegion(0.3))
    )
    wrong = data.labels.copy()
    wrong[data.rows["test_unseen"]] = np.roll(wrong[data.rows["test_unseen"]], 5)
    other = replace(data, labels=wrong)
    np.testing.assert_array_equal(
        found, refined_prototypes(method, semantics, other.of("test_unseen")[0], TrustRegion(0.3))
    )


def test_a_method_whose_prototypes_lie_elsewhere_is_refused():
    data = feature_set()
    method = Eszsl().fit(*data.of("trainval"), data.semantics)
    with pytest.raises(InputError, match="scores of Eszsl are no cosines"):
        refined_prototypes(method, data.semantics, data.features, TrustRegion(0.3))


@pytest.mark.parametrize(
    "settings", [{"radius": -0.1}, {"radius": 2.0}, {"radius": 0.1, "kappa": 0}, {"radius": 0.1, "rounds": 0}]
)
def test_a_region_that_cannot_be_is_refused(settings):
    with pytest.raises(InputError, match="a trust region of radius"):
        TrustRegion(**settings)
