"""The WordNet graph that knowledge-graph methods learn on, and which of two joined nodes is a kind of the other.

The graph of Wang, Ye and Gupta, "Zero-shot recognition via semantic embeddings and knowledge graphs", CVPR 2018, says that two nodes are
joined, not which is above: a pair is sorted by number. WordNet itself knows that. The only pairs that it does not know are those of
two nodes that are no synsets: ImageNet's own root, and its bin for what fits nowhere, beside which 2,350 unlike things lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError, Place, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.data.wordnet import WordNet

_WNID = re.compile(r"n\d{8}")
_NAMED_AT_MOST = 5  # nodes that an error names
_NO_NODES = "nodes of the graph, by WordNet id or by name"


@dataclass(frozen=True, slots=True, eq=False)
class WordNetGraph:
    """Nodes with names, and which are joined.

    Attributes:
        wnids: WordNet ids of N nodes, each once.
        names: For each node, its words, parted by a comma and a space, the usual one first.
        edges: `(E, 2)` int64: pairs of nodes, the smaller number first: no direction.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]
    edges: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.wnids)
        if len(self.names) != count or len(set(self.wnids)) != count:
            raise _refuse(f"{count} ids, {len(set(self.wnids))} different ones, {len(self.names)} names", "one of each")
        if self.edges.ndim != 2 or self.edges.shape[1] != 2:  # noqa: PLR2004  # pairs
            raise _refuse(f"edges of the shape {self.edges.shape}", "(E, 2)")
        if len(self.edges) and not 0 <= self.edges.min() <= self.edges.max() < count:
            raise _refuse(f"edges of nodes {self.edges.min()} to {self.edges.max()}, {count} nodes", "nodes from 0")
        if (self.edges[:, 0] >= self.edges[:, 1]).any():
            raise _refuse("edges whose first node is not the smaller one", "sorted pairs of two nodes")

    def numbers(self, wnids: Iterable[str]) -> NDArray[np.int64]:
        """Return the nodes `(K,)` of WordNet ids.

        Raises:
            InputError: When the graph has no such node.
        """
        index = {wnid: number for number, wnid in enumerate(self.wnids)}
        wanted = list(wnids)
        unknown = [one for one in wanted if one not in index]
        if unknown:
            listed = ", ".join(unknown[:_NAMED_AT_MOST])
            raise InputError(f"the graph has no node {listed}", code="unknown_node", expected=_NO_NODES)
        return np.array([index[one] for one in wanted], np.int64)

    def outside_wordnet(self) -> NDArray[np.int64]:
        """Return the nodes `(n,)` whose id is none of WordNet: what ImageNet added to hold its tree together."""
        return np.array([node for node, wnid in enumerate(self.wnids) if not _WNID.fullmatch(wnid)], np.int64)

    def node_named(self, text: str) -> int:
        """Return the node that a WordNet id or one of its words means: what stands under `parents` of a new class.

        Args:
            text: An id, or a word without regard to case. A word of several nodes is the one that it is the usual word of.

        Raises:
            InputError: When no node is meant, or several are.
        """
        if text in self.wnids:
            return self.wnids.index(text)
        wanted = text.strip().lower()
        having = [node for node, words in enumerate(self.names) if wanted in words.lower().split(", ")]
        usual = [node for node in having if self.names[node].lower().split(", ")[0] == wanted]
        found = usual if len(usual) == 1 else having
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(f"the graph has no node {shown(text)}", code="unknown_node", expected=_NO_NODES)
        several = "; ".join(f"{self.wnids[node]} ({self.names[node]})" for node in found[:_NAMED_AT_MOST])
        raise InputError(
            f"{shown(text)} means {len(found)} nodes of the graph: {several}",
            code="ambiguous_node",
            expected="one node",
            hint="write its WordNet id",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Hypernymy:
    """Which of two joined nodes is a kind of the other.

    Attributes:
        pairs: `(P, 2)` int64: a node, and what it is a kind of.
        covered: The share of the graph's edges that has a direction, in [0, 1].
        covered_of_synsets: The same of the edges between nodes that WordNet has.
    """

    pairs: NDArray[np.int64]
    covered: float
    covered_of_synsets: float


def read_wordnet_graph(path: Path) -> WordNetGraph:
    """Read the `.npz` with `edges (E, 2)`, `wnids (N,)` and `names (N,)`.

    Raises:
        InputError: When it cannot be read or is no such graph.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return WordNetGraph(
                tuple(file["wnids"].tolist()), tuple(file["names"].tolist()), file["edges"].astype(np.int64)
            )
    except InputError:
        raise
    except (OSError, ValueError, KeyError) as cause:
        raise InputError(
            f"this is no graph ({cause})",
            code="bad_graph",
            where=Place(str(path)),
            expected="an .npz with edges, wnids and names",
            hint="give the folder of the reference data: --data or EDGEZSL_DATA",
        ) from cause


def hypernymy(graph: WordNetGraph, wordnet: WordNet) -> Hypernymy:
    """Return the direction of every edge that WordNet gives one.

    What WordNet knows and the graph does not join stays out: the graph decides what is joined.

    Args:
        graph: The graph.
        wordnet: WordNet 3.0, whose ids the graph has.
    """
    index = {wnid: number for number, wnid in enumerate(graph.wnids)}
    joined = set(map(tuple, graph.edges.tolist()))
    pairs = [
        (index[child], index[parent])
        for child in graph.wnids
        if child in wordnet.synsets
        for parent in wordnet.synsets[child].parents
        if parent in index and tuple(sorted((index[child], index[parent]))) in joined
    ]
    synset = np.array([wnid in wordnet.synsets for wnid in graph.wnids])
    between = int(synset[graph.edges].all(axis=1).sum())
    count = len({tuple(sorted(pair)) for pair in pairs})
    return Hypernymy(np.array(pairs, np.int64).reshape(-1, 2), count / len(graph.edges), count / between)


def _refuse(got: str, expected: str) -> InputError:
    return InputError(f"the graph has {got}", code="bad_graph", expected=expected)
