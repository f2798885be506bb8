import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgezsl.data.wordnet import WordNet
from edgezsl.data.wordnet_graph import hypernymy, read_wordnet_graph
from edgezsl.errors import InputError

# entity above dog and crane; Rex below dog; a bin, which is no synset, beside crane and Rex
NOUNS = """00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | that which is
00000002 05 n 02 dog 0 domestic_dog 0 001 @ 00000001 n 0000 | a pet
00000003 05 n 01 Rex 0 002 @i 00000002 n 0000 @ 00000001 n 0000 | a dog of that name
00000004 05 n 01 crane 0 001 @ 00000001 n 0000 | a bird
"""
WNIDS = ("n00000003", "n00000001", "n00000004", "n00000002", "bin")
NAMES = ("Rex", "entity", "crane", "dog, domestic dog", "bin")
EDGES = np.array([[0, 3], [1, 2], [1, 3], [0, 4], [2, 4]])


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "index.noun").write_text("")
    return WordNet.read(tmp_path)


def read(tmp_path, **changes):
    arrays = {"edges": EDGES.astype(np.int32), "wnids": np.array(WNIDS), "names": np.array(NAMES), **changes}
    np.savez(tmp_path / "graph.npz", **{name: value for name, value in arrays.items() if value is not None})
    return read_wordnet_graph(tmp_path / "graph.npz")


def test_a_graph_comes_from_its_file_and_knows_its_nodes(tmp_path):
    graph = read(tmp_path)
    assert (graph.wnids, graph.names) == (WNIDS, NAMES)
    assert graph.edges.tolist() == EDGES.tolist()
    assert graph.numbers(["n00000002", "n00000003"]).tolist() == [3, 0]
    assert graph.outside_wordnet().tolist() == [4]


def test_a_graph_of_ones_own_says_itself_what_is_a_kind_of_what(tmp_path):
    graph = read(tmp_path, kinds=np.array([[0, 3], [3, 1]], np.int32))
    assert graph.kinds.tolist() == [[0, 3], [3, 1]]
    assert read(tmp_path).kinds is None


def test_the_direction_of_an_edge_is_that_of_wordnet_and_what_it_does_not_know_is_counted(tmp_path, wordnet):
    found = hypernymy(read(tmp_path), wordnet)
    assert sorted(found.pairs.tolist()) == [[0, 3], [2, 1], [3, 1]], "child, parent"
    assert found.covered == pytest.approx(3 / 5)
    assert found.covered_of_synsets == 1


def test_what_only_wordnet_joins_stays_apart(tmp_path, wordnet):
    """Rex is an entity in this WordNet, and no neighbour of it in the graph."""
    assert [0, 1] not in hypernymy(read(tmp_path), wordnet).pairs.tolist()


def test_an_edge_between_synsets_that_wordnet_does_not_join_lowers_the_share(tmp_path, wordnet):
    found = hypernymy(read(tmp_path, edges=np.concatenate([EDGES, [[2, 3]]])), wordnet)
    assert found.covered == pytest.approx(3 / 6)
    assert found.covered_of_synsets == pytest.approx(3 / 4)


def test_a_parent_is_named_by_its_id_or_one_of_its_words(tmp_path):
    graph = read(tmp_path)
    named = graph.nodes_named(["n00000002", "Domestic Dog ", "entity", "dog, domestic dog"])
    assert named.tolist() == [3, 3, 1, 3]


def test_a_word_of_several_nodes_is_that_of_which_it_is_the_usual_word_or_is_refused(tmp_path):
    usual = read(tmp_path, names=np.array(["Rex, dog", "entity", "crane", "dog, domestic dog", "bin"]))
    assert usual.nodes_named(["dog"]).tolist() == [3]
    unclear = read(tmp_path, names=np.array(["dog", "entity", "crane", "dog, domestic dog", "bin"]))
    with pytest.raises(InputError, match=r"means 2 nodes of the graph: n00000003 \(dog\); n00000002") as fault:
        unclear.nodes_named(["crane", "dog"])
    assert unclear.meant_by(["crane", "dog", "cat"]) == [[2], [0, 3], []]
    assert "WordNet id" in fault.value.hint
    kinds = np.array([[0, 3], [3, 1]])
    with pytest.raises(InputError, match=r"n00000003 \(dog\), a kind of dog; n00000002 \(dog, .*\), a kind of entity"):
        replace(unclear, kinds=kinds).nodes_named(["dog"])


def test_a_missing_file_and_one_that_is_no_npz_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_wordnet_graph(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("dog")
    with pytest.raises(InputError, match=r"no graph .it is not an .npz file"):
        read_wordnet_graph(tmp_path / "text.npz")


def test_an_unknown_node_is_named(tmp_path):
    graph = read(tmp_path)
    with pytest.raises(InputError, match="no node 'cat'"):
        graph.nodes_named(["cat"])
    with pytest.raises(InputError, match=r"no nodes for 6 of 7 classes: 'a', 'b', 'c', 'd', 'e', …") as fault:
        graph.nodes_named([*"abc", "dog", *"def"])
    assert "rename the folder" in fault.value.hint
    with pytest.raises(InputError, match="no node n99999999"):
        graph.numbers(["n00000001", "n99999999"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edges": None}, "no graph"),
        ({"names": np.array(NAMES[:-1])}, "5 ids, 5 different ones, 4 names"),
        ({"wnids": np.array([*WNIDS[:-1], WNIDS[0]])}, "5 ids, 4 different ones"),
        ({"edges": np.array([[0, 5]])}, "5 nodes"),
        ({"edges": np.array([[3, 0]])}, "not the smaller"),
        ({"edges": np.array([0, 3])}, "shape"),
        ({"kinds": np.array([0, 3])}, "kinds of the shape"),
        ({"kinds": np.array([[0, 3], [4, 3]])}, r"1 kinds without an edge, such as \[4, 3\]"),
    ],
)
def test_a_file_that_holds_no_graph_is_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, **changes)


def test_a_missing_file_says_where_it_should_come_from(tmp_path):
    with pytest.raises(InputError, match="there is no such file") as fault:
        read_wordnet_graph(tmp_path / "none.npz")
    assert "EDGEZSL_DATA" in fault.value.hint


@pytest.mark.data
def test_wordnet_knows_every_edge_between_synsets_of_the_real_graph():
    wordnet = Path("/usr/share/wordnet")
    if not (wordnet / "data.noun").exists():
        pytest.skip("WordNet is not installed: apt-get install wordnet-base")
    graph = read_wordnet_graph(Path(os.environ["EDGEZSL_DATA"]) / "wordnet_graph" / "imagenet_graph.npz")
    found = hypernymy(graph, WordNet.read(wordnet))
    assert len(graph.wnids) == 32_297
    assert found.covered == pytest.approx(0.9324, abs=1e-4)
    assert found.covered_of_synsets == 1
    assert {graph.wnids[node] for node in graph.outside_wordnet()} == {"fall11", "fa11misc"}
