from collections import deque

import numpy as np
import pytest

from edgezsl.zsl.knowledge.rings import Arcs, distance_rings

# A diamond with a long way beside it: 4 is below 2 and 3, both below 1; 0 above 1; 5 alone below 4 and, at once, below 1.
#        0
#        1
#      2 3 \
#       4  |
#        5
UP = np.array([[1, 0], [2, 1], [3, 1], [4, 2], [4, 3], [5, 4], [5, 1]])


def distances(pairs, count, start):
    """Return the steps from a node to each that it reaches, by a plain breadth-first walk."""
    found, waiting = {start: 0}, deque([start])
    while waiting:
        node = waiting.popleft()
        for end in pairs[pairs[:, 0] == node, 1].tolist():
            if end not in found:
                found[end] = found[node] + 1
                waiting.append(end)
    return found


def members(rings, place):
    return [sorted(ring.nodes[ring.places == place].tolist()) for ring in rings]


def test_a_node_that_two_ways_lead_to_is_in_one_ring_once():
    rings = distance_rings(Arcs.of(UP, 6), np.array([4]), farthest=3, and_beyond=False)
    assert members(rings, 0) == [[4], [2, 3], [1], [0]]


def test_a_ring_is_no_power_of_the_adjacency():
    """From 5 a way of three steps leads to 1, and one of one step: 1 is at distance 1 only."""
    rings = distance_rings(Arcs.of(UP, 6), np.array([5]), farthest=3, and_beyond=False)
    assert members(rings, 0) == [[5], [1, 4], [0, 2, 3], []]
    steps = np.zeros((6, 6), int)
    steps[tuple(UP.T)] = 1
    assert np.linalg.matrix_power(steps, 3)[5, 1] == 2, "what the power holds"


def test_the_last_ring_may_hold_what_is_farther_away():
    rings = distance_rings(Arcs.of(UP, 6), np.array([4, 1]), farthest=1, and_beyond=True)
    assert members(rings, 0) == [[4], [0, 1, 2, 3]]
    assert members(rings, 1) == [[1], [0]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("and_beyond", [False, True])
@pytest.mark.parametrize("both_ways", [False, True])
def test_rings_are_breadth_first_distances(seed, and_beyond, both_ways):
    random = np.random.default_rng(seed)
    child = np.arange(1, 40).repeat(2)
    up = np.unique(np.stack([child, random.integers(0, child)], axis=1), axis=0)
    walked = np.concatenate([up, up[:, ::-1]]) if both_ways else up
    arcs = Arcs.both_ways(up, 40) if both_ways else Arcs.of(up, 40)
    nodes = random.permutation(40)[:15]
    rings = distance_rings(arcs, nodes, farthest=3, and_beyond=and_beyond)
    assert len(rings) == 4
    for place, node in enumerate(nodes.tolist()):
        steps = distances(walked, 40, node)
        at = [sorted(end for end, far in steps.items() if far == distance) for distance in range(3)]
        last = sorted(end for end, far in steps.items() if far == 3 or (and_beyond and far > 3))
        assert members(rings, place) == [*at, last]
