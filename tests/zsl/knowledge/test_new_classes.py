import numpy as np
import pytest

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.new_classes import nearest_nodes, rows_by_nearest_names, rows_by_parents
from edgezsl.zsl.knowledge.node_classifier import NodeSchedule
from tests.zsl.knowledge.test_node_classifier import FIRST_LEAF, HELD, KNOWN, METHODS, fitted

SHORT = NodeSchedule(hidden=(16,), steps=20, learning_rate=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_joins_by_its_parents_gets_the_row_of_a_node_that_was_always_there(method):
    found, graph, _, _ = fitted(method, SHORT)
    parents = [graph.parents_of(node) for node in HELD[:3]]
    joined = np.stack(
        [
            rows_by_parents(found, graph.without(np.array([node])), graph.features[node : node + 1], [above])[0]
            for node, above in zip(HELD[:3].tolist(), parents, strict=True)
        ]
    )
    np.testing.assert_allclose(joined, found.rows(graph, HELD[:3]), atol=1e-6)


def test_classes_that_join_together_do_not_see_each_other():
    found, graph, _, _ = fitted("dgp", SHORT)
    features = graph.features[:2]
    both = rows_by_parents(found, graph, features, [[1], [1, 2]])
    np.testing.assert_array_equal(both[1:], rows_by_parents(found, graph, features[1:], [[1, 2]]))


def test_the_nearest_names_are_those_of_a_walk_over_all():
    random = np.random.default_rng(0)
    names, asked = random.normal(size=(20, 4)), random.normal(size=(3, 4))
    cosines = [[a @ n / np.linalg.norm(a) / np.linalg.norm(n) for n in names] for a in asked]
    expected = [sorted(range(20), key=lambda node, row=row: -row[node])[:5] for row in cosines]
    assert nearest_nodes(names, asked, 5).tolist() == expected


def test_a_class_that_joins_by_names_gets_the_mean_row_of_the_nearest():
    found, graph, _, _ = fitted("dgp", SHORT)
    asked = graph.features[[FIRST_LEAF, 3]] + 0.01
    nearest = nearest_nodes(graph.features, asked, 2)
    assert nearest[:, 0].tolist() == [FIRST_LEAF, 3]
    expected = np.stack([found.rows(graph, one).mean(axis=0) for one in nearest])
    np.testing.assert_allclose(rows_by_nearest_names(found, graph, asked, count=2), unit(expected), atol=1e-6)


def test_a_class_of_a_known_name_alone_gets_its_row():
    found, graph, _, _ = fitted("gcnz", SHORT)
    rows = rows_by_nearest_names(found, graph, graph.features[KNOWN[:4]], count=1)
    np.testing.assert_allclose(rows, found.rows(graph, KNOWN[:4]), atol=1e-6)


def test_only_nodes_that_may_be_taken_are_near():
    found, graph, _, _ = fitted("gcnz", SHORT)
    node = int(KNOWN[0])
    others = np.setdiff1d(np.arange(len(graph.features)), [node])
    asked = graph.features[[node]]
    second = nearest_nodes(graph.features, asked, 2)[0, 1:]
    rows = rows_by_nearest_names(found, graph, asked, count=1, among=others)
    np.testing.assert_allclose(rows, found.rows(graph, second), atol=1e-6)
