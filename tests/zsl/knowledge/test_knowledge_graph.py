import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph

FEATURES = np.arange(6, dtype=np.float32).reshape(3, 2)
PAIRS = np.array([[1, 0], [2, 0]])


def graph():
    return KnowledgeGraph(FEATURES, PAIRS, PAIRS)


def test_a_class_joins_below_its_parents_and_what_was_there_stays():
    found = graph().with_classes(np.array([[7.0, 8.0], [9.0, 9.0]]), [[1, 2, 1], [0]])
    assert found.features.tolist() == [*FEATURES.tolist(), [7, 8], [9, 9]]
    assert found.kinds.tolist() == found.edges.tolist() == [[1, 0], [2, 0], [3, 1], [3, 2], [4, 0]]
    assert found.parents_of(3) == [1, 2]
    assert len(graph().features) == 3


def test_a_node_is_taken_out_with_all_its_edges_and_keeps_its_number():
    found = graph().with_classes(np.zeros((1, 2)), [[1]]).without(np.array([1]))
    assert found.edges.tolist() == found.kinds.tolist() == [[2, 0]]
    assert len(found.features) == 4


@pytest.mark.parametrize("parents", [[[1], []], [[1]]])
def test_a_class_without_a_parent_is_refused_with_what_else_there_is(parents):
    with pytest.raises(InputError, match="lists of parents") as fault:
        graph().with_classes(np.zeros((2, 2)), parents)
    assert "nearest names" in fault.value.hint


def test_a_parent_that_is_no_node_is_refused():
    with pytest.raises(InputError, match="nodes 0 to 9"):
        graph().with_classes(np.zeros((1, 2)), [[9]])
