import numpy as np
import pytest

from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.knowledge.propagation import RingPropagation, SymmetricPropagation, label_propagation, sparse_matrix

# 0 above 1 and 2, both above 3 (a diamond), 4 below 3
KINDS = np.array([[1, 0], [2, 0], [3, 1], [3, 2], [4, 3]])
GRAPH = KnowledgeGraph(np.zeros((5, 2), np.float32), KINDS, KINDS)
EVERY = np.arange(5)


def dense(propagation, layer, nodes=EVERY):
    return [
        sparse_matrix(one, EVERY, rows=len(nodes)).to_dense().numpy()
        for one in propagation.entries(GRAPH, layer, nodes)
    ]


def test_symmetric_propagation_is_its_formula_in_dense_matrices():
    joined = np.eye(5)
    joined[tuple(KINDS.T)] = joined[tuple(KINDS[:, ::-1].T)] = 1
    scale = np.diag(1 / np.sqrt(joined.sum(axis=1)))
    (found,) = dense(SymmetricPropagation(), 0)
    np.testing.assert_allclose(found, scale @ joined @ scale, rtol=1e-6)


def test_the_first_layer_gathers_from_descendants_and_the_second_from_ancestors():
    below, above = dense(RingPropagation(farthest=2), 0), dense(RingPropagation(farthest=2), 1)
    np.testing.assert_array_equal(below[0], np.eye(5))
    np.testing.assert_array_equal(below[1][0], [0, 0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(below[2][0], [0, 0, 0, 0.5, 0.5])  # 3 at two steps, 4 beyond
    np.testing.assert_array_equal(above[1][3], [0, 0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(above[2][3], [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(above[1][0], np.zeros(5))  # nothing is above the first
    for matrix in (*below, *above):
        sums = matrix.sum(axis=1)
        np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-6)


def test_without_directions_both_sides_of_a_node_are_its_ring_which_ends():
    for layer in (0, 1):
        rings = dense(RingPropagation(farthest=2, directed=False), layer)
        np.testing.assert_allclose(rings[1][3], [0, 1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)
        np.testing.assert_array_equal(rings[2][3], [1, 0, 0, 0, 0])
        np.testing.assert_array_equal(rings[2][4], [0, 0.5, 0.5, 0, 0])  # 0 is at three steps


@pytest.mark.parametrize("propagation", [SymmetricPropagation(), RingPropagation(), RingPropagation(2, directed=False)])
def test_rows_that_are_asked_for_are_those_of_the_whole_matrix(propagation):
    nodes = np.array([4, 1])
    for layer in (0, 1):
        for part, whole in zip(dense(propagation, layer, nodes), dense(propagation, layer), strict=True):
            np.testing.assert_array_equal(part, whole[nodes])


def test_labels_spread_as_repeated_means_by_hand():
    """A path 0 - 1 - 2 whose ends are 0 and 3: after one step the middle is 1, in the end 1.5."""
    path = KnowledgeGraph(np.zeros((3, 1), np.float32), np.array([[0, 1], [1, 2]]), np.zeros((0, 2), np.int64))
    known = np.array([0, 2]), np.array([[0.0], [3.0]])
    assert label_propagation(path, *known, steps=1).ravel().tolist() == [0, 1, 3]
    assert label_propagation(path, *known).ravel().tolist() == pytest.approx([0, 1.5, 3])


def test_spread_labels_are_harmonic_where_nothing_is_known():
    found = label_propagation(GRAPH, np.array([0, 4]), np.eye(2), steps=400)
    np.testing.assert_allclose(found[1], (found[0] + found[3]) / 2, atol=1e-5)
    np.testing.assert_allclose(found[3], (found[1] + found[2] + found[4]) / 3, atol=1e-5)
    np.testing.assert_array_equal(found[[0, 4]], np.eye(2))
