import numpy as np

from edgezsl.zsl.graph import UNREACHED, children_first, spread

#     0        0 above 1 and 2; 3 below both (a diamond); 4 below 1; 5 alone
#    1 2
#   4  3
PARENTS = [[], [0], [0], [1, 2], [1], []]


def test_children_come_before_what_they_are_kinds_of():
    order = children_first(PARENTS)
    assert sorted(order) == list(range(6))
    for node, above in enumerate(PARENTS):
        assert all(order.index(node) < order.index(one) for one in above)


def test_a_node_above_is_the_mean_of_its_supported_children():
    found = spread(PARENTS, {3: np.array([1.0, 0.0]), 4: np.array([0.0, 1.0])}, 2)
    assert found.rows[1].tolist() == [0.5, 0.5]
    assert found.rows[2].tolist() == [1.0, 0.0]
    assert found.rows[0].tolist() == [0.75, 0.25]
    assert found.distance.tolist() == [0, 0, 0, 0, 0, UNREACHED]


def test_a_node_below_is_what_it_is_a_kind_of_and_counts_its_steps():
    found = spread(PARENTS, {2: np.array([0.0, 2.0])}, 2)
    assert found.rows[3].tolist() == [0.0, 2.0]
    assert found.distance[3] == 1
    assert found.distance[1] == 1, "below 0, which 2 supports"
    assert found.distance[4] == 2


def test_a_known_row_is_never_overwritten():
    found = spread(PARENTS, {0: np.array([5.0]), 4: np.array([1.0])}, 1)
    assert found.rows[0].tolist() == [5.0]
    assert found.rows[5].tolist() == [0.0]
