import numpy as np
import pytest
import torch

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.graph_method import described_by, graph_entry
from edgezsl.zsl.knowledge.node_classifier import GRAPH_METHODS
from edgezsl.zsl.method import class_scores
from edgezsl.zsl.sides import sides_of
from tests.zsl.knowledge.test_node_classifier import FIRST_LEAF, HELD, KNOWN, world

PER_CLASS = 3
SETTINGS = {"steps": 20, "width": 16}


def pictures(nodes, seed=0):
    """Return features of some pictures of each of `nodes`, near the rows of the world, and their labels."""
    _, rows = world()
    labels = np.repeat(np.arange(len(nodes)), PER_CLASS)
    noise = 0.05 * np.random.default_rng(seed).normal(size=(len(labels), rows.shape[1]))
    return rows[nodes - FIRST_LEAF][labels] + noise, labels


def fitted(name):
    method = graph_entry(name, world()[0]).make(SETTINGS, size="quick", seed=1)
    return method.fit(*pictures(KNOWN), described_by(KNOWN))


@pytest.mark.parametrize("name", GRAPH_METHODS)
def test_a_row_scores_features_at_length_1_as_if_they_were_centred(name):
    method, (features, _) = fitted(name), pictures(HELD, seed=1)
    rows = method.classifier.rows(method.graph, HELD)
    expected = (unit(features) - method.classifier.mean_) @ rows.T
    np.testing.assert_allclose(class_scores(method, features, described_by(HELD)), expected, atol=1e-12)


@pytest.mark.parametrize("name", GRAPH_METHODS)
def test_its_sides_say_what_the_method_says(name):
    method, (features, _) = fitted(name), pictures(HELD, seed=1)
    sides = sides_of(method)
    image = sides.image(torch.from_numpy(features.astype(np.float32))).numpy()
    vectors, bias = sides.classes(torch.from_numpy(described_by(HELD)))
    expected = class_scores(method, features, described_by(HELD))
    np.testing.assert_allclose(image @ vectors.numpy().T + bias.numpy(), expected, atol=1e-5)
    assert sides.similarity == "dot"
    assert sides.biased


def test_what_is_learned_from_is_the_mean_picture_of_each_class():
    method, (features, labels) = fitted("dgp"), pictures(KNOWN)
    means = np.stack([unit(features)[labels == label].mean(axis=0) for label in range(len(KNOWN))])
    np.testing.assert_allclose(method.classifier.mean_, means.mean(axis=0))


def test_a_node_is_its_number_for_every_graph_that_fits_into_memory():
    numbers = np.array([0, 32_296, 2**24 - 1])
    np.testing.assert_array_equal(described_by(numbers)[:, 0].astype(np.int64), numbers)


def test_a_seed_is_that_of_the_run():
    entry = graph_entry("gcnz", world()[0])
    assert entry.make({"steps": 3}, seed=5).classifier.schedule.seed == 5
    assert entry.make({"steps": 3}, size="quick").classifier.schedule.hidden == (64, 64, 64)
