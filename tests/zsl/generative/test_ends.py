from functools import partial

import numpy as np
import pytest
import torch

from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.zsl.generative.adversarial import FeatureWgan, WassersteinSettings
from edgezsl.zsl.generative.ends import FinalClassifier
from edgezsl.zsl.generative.named import GENERATORS, final_classifier, mean_prototypes
from edgezsl.zsl.generative.training import FeatureGenerator, GenerativeSchedule
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import ZeroShotMethod, class_scores
from tests.zsl.semantic.test_ridge import SEEN, world

QUICK = {"width": 32, "epochs": 3, "learning_rate": 1e-2, "noise": 8}


def parted(**settings):
    """Return features and labels of seen classes, and all semantics."""
    features, labels, semantics = world(**settings)
    seen = labels < SEEN
    return features[seen], labels[seen], semantics


def sabotaged(generator):
    """Return a generator that says that every class looks like the opposite of the mean of all images."""

    class Sabotaged(FeatureGenerator):
        __slots__ = ()

        def synthesize(self, semantics, per_class):
            made = super().synthesize(semantics, per_class)
            return np.broadcast_to([[-1.0] + [0.0] * (made.shape[2] - 1)], made.shape)

    return Sabotaged(generator.recipe, generator.schedule)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("end", [final_classifier, mean_prototypes])
def test_a_seed_gives_the_same_rows_and_leaves_the_callers_randomness_alone(name, end):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (end(name, seed=seed, **QUICK).fit(*parted()) for seed in (0, 0, 1))
    semantics = parted()[2]
    assert isinstance(first, ZeroShotMethod)
    np.testing.assert_array_equal(first.prototypes(semantics)[0], again.prototypes(semantics)[0])
    assert np.abs(first.prototypes(semantics)[0] - other.prototypes(semantics)[0]).max() > 1e-3
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_mean_prototype_is_the_mean_of_what_is_generated_and_does_not_depend_on_the_classes_beside_it(name):
    method, (_, _, semantics) = mean_prototypes(name, nearness="euclidean", **QUICK).fit(*parted()), parted()
    vectors, bias = method.prototypes(semantics)
    means = method.generator.synthesize(semantics, method.samples).mean(axis=1)
    np.testing.assert_allclose(vectors, means, atol=1e-5)
    np.testing.assert_allclose(method.prototypes(semantics[4:5])[0], vectors[4:5], atol=1e-5)
    np.testing.assert_allclose(bias, -np.square(means).sum(axis=1) / 2, rtol=1e-4)


def test_the_best_score_of_a_mean_is_that_of_the_nearest_one():
    features, _, semantics = parted()
    method = mean_prototypes("f-vaegan", nearness="euclidean", **QUICK).fit(*parted())
    rows, means = method.embed(features), method.prototypes(semantics)[0]
    halves = np.square(rows[:, None] - means).sum(axis=2) / 2
    scores = class_scores(method, features, semantics)
    np.testing.assert_allclose(scores, np.square(rows).sum(axis=1, keepdims=True) / 2 - halves, atol=1e-9)


def test_of_cosines_embeddings_and_prototypes_have_length_1_and_no_bias():
    features, _, semantics = parted()
    method = mean_prototypes("f-clswgan", nearness="cosine", **QUICK).fit(*parted())
    vectors, bias = method.prototypes(semantics)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(method.embed(features), axis=1), 1)
    means = method.generator.synthesize(semantics, method.samples).mean(axis=1)
    np.testing.assert_allclose(vectors, unit(means), atol=1e-5)
    assert not bias.any()


@pytest.mark.parametrize("name", GENERATORS)
def test_the_module_that_is_exported_makes_the_same_rows(name):
    features, _, semantics = parted()
    method = mean_prototypes(name, **QUICK).fit(*parted())
    inputs = torch.from_numpy(semantics.astype(np.float32))
    traced = torch.export.export(method.module_, (inputs,), dynamic_shapes=({0: torch.export.Dim("K", min=2)},))
    with torch.no_grad():
        found = traced.module()(inputs[:3]).numpy()
    np.testing.assert_allclose(found, method.prototypes(semantics[:3])[0], atol=1e-5)
    with torch.no_grad():
        rows = method.generator.embedder_(torch.from_numpy(features.astype(np.float32))).numpy()
    np.testing.assert_allclose(unit(rows), method.embed(features), atol=1e-5)


def test_a_longer_or_shorter_image_is_the_same_image():
    features, _, _ = parted()
    method = mean_prototypes("cada-vae", **QUICK).fit(*parted())
    np.testing.assert_allclose(method.embed(7 * features), method.embed(features), atol=1e-5)


def test_a_classifier_knows_seen_classes_by_their_real_features():
    features, labels, semantics = parted(noise=0.1)
    generator = FeatureGenerator(partial(FeatureWgan, settings=WassersteinSettings(1)), GenerativeSchedule(**QUICK))
    accuracies = []
    for one in (generator, sabotaged(generator)):
        method = FinalClassifier(one, prior=1.0, classifier_epochs=60, classifier_rate=0.05)
        method.fit(features, labels, semantics)
        accuracies.append(per_class_accuracy(class_scores(method, features, semantics).argmax(axis=1), labels))
    assert min(accuracies) > 0.95
    alone = class_scores(method, features, semantics[:SEEN]).argmax(axis=1)
    assert per_class_accuracy(alone, labels) > 0.95


def test_a_class_that_is_described_as_a_seen_one_needs_no_generator():
    features, labels, semantics = parted()
    method = final_classifier("f-vaegan", **QUICK).fit(features, labels, semantics)
    ruined = FinalClassifier(sabotaged(method.generator)).fit(features, labels, semantics)
    np.testing.assert_array_equal(method.prototypes(semantics[:SEEN])[0], ruined.prototypes(semantics[:SEEN])[0])
    assert np.abs(method.prototypes(semantics)[0] - ruined.prototypes(semantics)[0]).max() > 1e-3
    assert method.retrains


def test_a_higher_prior_gives_more_images_to_classes_that_no_image_shows():
    features, labels, semantics = parted()
    shares = []
    for prior in (1.0, 30.0, 1000.0):
        method = final_classifier("f-vaegan", prior=prior, **QUICK).fit(features, labels, semantics)
        shares.append((class_scores(method, features, semantics).argmax(axis=1) >= SEEN).mean())
    assert shares[0] < shares[1] < shares[2]


def test_two_seen_classes_of_one_description_share_their_features():
    features, labels, semantics = parted()
    semantics[1] = semantics[0]
    method = final_classifier("gan-zsl", **QUICK).fit(features, labels, semantics)
    assert sorted(len(rows) for rows in method.seen_.values()) == [20] * (SEEN - 2) + [40]


def test_a_setting_that_no_part_knows_is_refused():
    with pytest.raises(TypeError, match="widht"):
        final_classifier("gan-zsl", widht=3)
