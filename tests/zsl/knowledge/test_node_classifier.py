import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.knowledge.node_classifier import NodeSchedule, node_classifier, row_prototypes

METHODS = ("gcnz", "dgp", "dgp-u")
GROUPS, EACH, WIDTH = 8, 6, 12
FIRST_LEAF = 1 + GROUPS
HELD = FIRST_LEAF + np.arange(GROUPS) * EACH  # a leaf of each group
KNOWN = np.setdiff1d(np.arange(FIRST_LEAF, FIRST_LEAF + GROUPS * EACH), HELD)
QUICK = NodeSchedule(hidden=(32,), steps=150, learning_rate=0.01)


def world(seed=0):
    """A root, groups below it and leaves below them; a leaf's row is that of its group with noise, features say nothing of it."""
    random = np.random.default_rng(seed)
    parents = np.concatenate([np.zeros(GROUPS, int), 1 + np.repeat(np.arange(GROUPS), EACH)])
    kinds = np.stack([np.arange(1, len(parents) + 1), parents], axis=1)
    features = unit(random.normal(size=(len(kinds) + 1, 16))).astype(np.float32)
    rows = random.normal(size=(GROUPS, WIDTH))[np.repeat(np.arange(GROUPS), EACH)]
    rows = 5 + rows + 0.2 * random.normal(size=rows.shape)
    return KnowledgeGraph(features, kinds, kinds), rows


def fitted(method="dgp", schedule=QUICK, known=KNOWN):
    graph, rows = world()
    found = node_classifier(method, schedule)
    return found, graph, rows, list(found.fit_steps(graph, known, rows[known - FIRST_LEAF]))


@pytest.mark.parametrize("method", METHODS)
def test_the_row_of_a_class_without_images_is_that_of_what_it_is_joined_to(method):
    found, graph, rows, _ = fitted(method)
    right = unit(rows[HELD - FIRST_LEAF] - rows[KNOWN - FIRST_LEAF].mean(axis=0))
    predicted = found.rows(graph, HELD)
    np.testing.assert_allclose(np.linalg.norm(predicted, axis=1), 1)
    assert ((predicted @ right.T).argmax(axis=1) == np.arange(GROUPS)).mean() >= 0.7, "chance is an eighth"


def test_a_graph_of_which_nothing_is_true_says_nothing():
    found, graph, rows, _ = fitted("gcnz")
    right = unit(rows[HELD - FIRST_LEAF] - rows[KNOWN - FIRST_LEAF].mean(axis=0))
    order = np.random.default_rng(3).permutation(len(graph.features))
    wrong = KnowledgeGraph(graph.features, order[graph.edges], order[graph.kinds])
    list(found.fit_steps(wrong, KNOWN, rows[KNOWN - FIRST_LEAF]))
    assert ((found.rows(wrong, HELD) @ right.T).argmax(axis=1) == np.arange(GROUPS)).mean() <= 0.4


def test_the_first_loss_is_half_the_mean_squared_distance_of_the_first_weights():
    found, _, _, told = fitted(schedule=NodeSchedule(hidden=(32,), steps=1, learning_rate=0.0, dropout=0.0))
    graph, rows = world()
    targets = unit(rows[KNOWN - FIRST_LEAF] - rows[KNOWN - FIRST_LEAF].mean(axis=0))
    expected = np.square(found.rows(graph, KNOWN) - targets).sum(axis=1).mean() / 2
    assert told[0].loss == pytest.approx(expected, rel=1e-5)


def test_every_step_is_told_and_the_loss_falls():
    _, _, _, told = fitted()
    assert [step.done for step in told] == list(range(1, 151))
    assert {step.total for step in told} == {150}
    assert told[-1].loss < told[0].loss / 3


def test_a_seed_gives_the_same_rows_and_another_one_others():
    first, again, other = (
        fitted(schedule=NodeSchedule(hidden=(8,), steps=3, seed=seed))[0].rows(world()[0], HELD) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_known_node_without_a_row_is_refused():
    graph, rows = world()
    with pytest.raises(InputError, match="40 nodes have 48 rows"):
        list(node_classifier("dgp", QUICK).fit_steps(graph, KNOWN, rows))


def test_a_method_has_the_rings_of_its_name():
    assert node_classifier("gcnz", QUICK).propagation.matrices == 1
    assert node_classifier("dgp", QUICK).propagation.matrices == 5
    assert node_classifier("dgp-u", QUICK).propagation.matrices == 3
    assert node_classifier("dgp", QUICK, farthest=1).propagation.matrices == 2


def test_the_bias_of_a_row_is_that_of_centred_features():
    random = np.random.default_rng(0)
    rows, images = random.normal(size=(4, 6)), 3 + random.normal(size=(9, 6))
    vectors, bias = row_prototypes(rows, images.mean(axis=0))
    np.testing.assert_allclose(images @ vectors.T + bias, (images - images.mean(axis=0)) @ rows.T, atol=1e-12)
