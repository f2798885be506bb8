import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from edgezsl.data.wordnet_graph import WordNetGraph
from edgezsl.errors import ModelError
from edgezsl.zsl.knowledge.graph_file import ClassGraph, fitted_on
from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.knowledge.node_classifier import NodeSchedule, node_classifier
from tests.zsl.knowledge.test_node_classifier import FIRST_LEAF, HELD, KNOWN, METHODS, world

SHORT = NodeSchedule(hidden=(16, 8), steps=5, learning_rate=0.01)


def stored(method="dgp"):
    graph, rows = world()
    graph = KnowledgeGraph(fitted_on(graph.features), np.sort(graph.edges, axis=1), graph.kinds)
    found = node_classifier(method, SHORT)
    for _ in found.fit_steps(graph, KNOWN, rows[KNOWN - FIRST_LEAF]):
        pass
    names = tuple(f"thing {number}, ding {number}" for number in range(len(graph.features)))
    ids = tuple(f"n{number:08d}" for number in range(len(names)))
    return ClassGraph(method, WordNetGraph(ids, names, graph.edges), graph, found, KNOWN)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_read_back_gives_the_same_rows(method):
    written = stored(method)
    read = ClassGraph.from_bytes(written.to_bytes(), file="graph")
    assert read.method == method
    assert (read.nodes.wnids, read.nodes.names) == (written.nodes.wnids, written.nodes.names)
    np.testing.assert_array_equal(read.knowledge.features, written.knowledge.features)
    np.testing.assert_array_equal(read.classifier.mean_, written.classifier.mean_)
    np.testing.assert_array_equal(read.seen, KNOWN)
    expected = written.classifier.rows(written.knowledge, HELD)
    np.testing.assert_array_equal(read.classifier.rows(read.knowledge, HELD), expected)


def test_equal_graphs_give_equal_bytes():
    assert stored().to_bytes() == stored().to_bytes()


def rewritten(change):
    """Return the file with a change to its header and tensors."""
    data = stored().to_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["edgezsl"])
    tensors = {name: value.copy() for name, value in load(data).items()}
    change(header, tensors)
    return save(tensors, {"edgezsl": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda header, _: header.update(format="edgezsl-graph/2"), "unknown_format"),
        (lambda header, _: header.update(surprise=1), "unknown_key"),
        (lambda header, _: header.update(method="gat"), "unknown_value"),
        (lambda header, _: header["names"].pop(), "bad_graph"),
        (lambda header, _: header.update(hidden=[4]), "bad_graph"),
        (lambda _, tensors: tensors["edges"].__setitem__(0, [0, 9999]), "bad_graph"),
        (lambda _, tensors: tensors.pop("mean"), "bad_graph"),
        (lambda _, tensors: tensors.pop("network.layers.0.weight"), "bad_graph"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, code):
    with pytest.raises(ModelError) as fault:
        ClassGraph.from_bytes(rewritten(change), file="graph")
    assert fault.value.code == code
    assert fault.value.where.file == "graph"


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_damaged_file_is_refused(cut):
    with pytest.raises(ModelError, match="damaged"):
        ClassGraph.from_bytes(stored().to_bytes()[:cut], file="graph")
