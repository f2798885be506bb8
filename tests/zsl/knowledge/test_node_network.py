import math

import numpy as np
import pytest
import torch

from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.knowledge.node_network import NodeNetwork, ReceptiveField
from edgezsl.zsl.knowledge.propagation import RingPropagation, SymmetricPropagation, sparse_matrix

PATH = KnowledgeGraph(np.array([[1.0], [-2.0], [4.0]], np.float32), np.array([[0, 1], [1, 2]]), np.zeros((0, 2), int))


def tree(seed=0, count=30, width=5):
    random = np.random.default_rng(seed)
    child = np.arange(1, count)
    kinds = np.stack([child, random.integers(0, child)], axis=1)
    return KnowledgeGraph(random.normal(size=(count, width)).astype(np.float32), kinds, kinds)


def network(matrices, widths, seed=0):
    torch.manual_seed(seed)
    return NodeNetwork(matrices, widths, dropout=0.5).eval()


def test_a_graph_convolution_is_what_three_nodes_say_by_hand():
    """A path of degrees 2, 3, 2 (with themselves): 1/2 and 1/3 stay, 1/√6 goes along an edge; then 2x + 1/2, and a fifth below 0."""
    found = network(1, (1, 1, 2))
    with torch.no_grad():
        found.layers[0].weight.fill_(2.0)
        found.layers[0].bias.fill_(0.5)
        found.layers[1].weight.copy_(torch.tensor([[1.0], [0.0]]))
        found.layers[1].bias.copy_(torch.tensor([0.0, 1.0]))
        rows = found(ReceptiveField.of(PATH, SymmetricPropagation(), np.arange(3), layers=2)).numpy()
    edge = 1 / math.sqrt(6)
    gathered = [1 / 2 - 2 * edge, -2 / 3 + 5 * edge, 4 / 2 - 2 * edge]
    linear = [2 * value + 0.5 for value in gathered]
    assert min(linear) < 0 < max(linear)
    hidden = [value if value > 0 else value / 5 for value in linear]
    again = [
        hidden[0] / 2 + edge * hidden[1],
        hidden[1] / 3 + edge * (hidden[0] + hidden[2]),
        hidden[2] / 2 + edge * hidden[1],
    ]
    for row, value in zip(rows, again, strict=True):
        np.testing.assert_allclose(row, np.array([value, 1]) / math.hypot(value, 1), rtol=1e-5)


def test_dense_graph_propagation_is_its_equation_in_dense_matrices():
    graph, rings = tree(), RingPropagation(farthest=2)
    found = network(3, (5, 7, 4))
    every = np.arange(30)
    with torch.no_grad():
        for weights in found.distances:
            weights.copy_(torch.randn(3))
        rows = found(ReceptiveField.of(graph, rings, every, layers=2)).numpy()
        hidden = graph.features.astype(np.float64)
        for layer in range(2):
            exponents = np.exp(found.distances[layer].numpy())
            matrices = [sparse_matrix(one, every).to_dense().numpy() for one in rings.entries(graph, layer, every)]
            gathered = sum(e / exponents.sum() * m @ hidden for e, m in zip(exponents, matrices, strict=True))
            hidden = gathered @ found.layers[layer].weight.numpy().T + found.layers[layer].bias.numpy()
            hidden = np.where(hidden > 0, hidden, 0.2 * hidden) if layer == 0 else hidden
    np.testing.assert_allclose(rows, hidden / np.linalg.norm(hidden, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("propagation", [SymmetricPropagation(), RingPropagation(), RingPropagation(2, directed=False)])
@pytest.mark.parametrize("widths", [(5, 4), (5, 6, 4), (5, 6, 3, 4)])
def test_a_node_has_the_same_row_whatever_else_is_asked_for(propagation, widths):
    found, graph = network(propagation.matrices, widths), tree()
    with torch.no_grad():
        whole, part = (
            found(ReceptiveField.of(graph, propagation, nodes, layers=len(widths) - 1))
            for nodes in (np.arange(30), np.array([17, 3]))
        )
    np.testing.assert_allclose(part.numpy(), whole.numpy()[[17, 3]], atol=1e-6)


def test_distances_weigh_alike_before_anything_is_learned_and_get_a_gradient():
    found, graph = network(5, (5, 6, 4)), tree()
    assert [found.distance_weights(layer).tolist() for layer in (0, 1)] == [pytest.approx([0.2] * 5)] * 2
    rows = found(ReceptiveField.of(graph, RingPropagation(), np.arange(30), layers=2))
    torch.autograd.backward(rows[:, 0].sum())
    assert all(weights.grad.abs().max() > 0 for weights in found.distances)


def test_units_are_dropped_while_it_is_trained_only():
    found = network(5, (5, 64, 4))
    field = ReceptiveField.of(tree(), RingPropagation(), np.arange(30), layers=2)
    assert torch.equal(found(field), found(field))
    found.train()
    assert not torch.equal(found(field), found(field))
