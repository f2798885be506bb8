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

from edgezsl.data.array_file import open_arrays
from edgezsl.errors import InputError, Place, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.data.wordnet import WordNet

_WNID = re.compile(r"n\d{8}")
_NAMED_AT_MOST = 5  # nodes that an error names
_OTHER_FILE = "give another file, or the folder of the reference data: --folder or EDGEZSL_DATA"
_NO_NODES = "nodes of the graph, by WordNet id or by name"


@dataclass(frozen=True, slots=True, eq=False)
class WordNetGraph:
    """Nodes with names, and which are joined.

    Attributes:
        wnids: WordNet ids of N nodes, each once; or ids of one's own, where `kinds` says what WordNet cannot.
        names: For each node, its words, parted by a comma and a space, the usual one first.
        edges: `(E, 2)` int64: pairs of nodes, the smaller number first: no direction.
        kinds: `(P, 2)` int64: of joined nodes, one and what it is a kind of; None where that is to be asked of WordNet.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]
    edges: NDArray[np.int64]
    kinds: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        self._check_edges()
        if self.kinds is not None:
            if self.kinds.ndim != 2 or self.kinds.shape[1] != 2:  # noqa: PLR2004  # pairs
                raise _refuse(f"kinds of the shape {self.kinds.shape}", "(P, 2)")
            joined = set(map(tuple, self.edges.tolist()))
            apart = [pair for pair in self.kinds.tolist() if tuple(sorted(pair)) not in joined]
            if apart:
                raise _refuse(f"{len(apart)} kinds without an edge, such as {apart[0]}", "pairs that edges joins")

    def _check_edges(self) -> None:
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

    def meant_by(self, texts: Iterable[str]) -> list[list[int]]:
        """Return for each text the nodes that it may mean, none or several where it does not say which.

        Args:
            texts: Ids, or words without regard to case: all words of a node as `names` has them, or one of them. A word of several
                nodes is the one that it is the usual word of.
        """
        ids = {wnid: node for node, wnid in enumerate(self.wnids)}
        having: dict[str, list[int]] = {}
        usual: dict[str, list[int]] = {}
        for node, words in enumerate(self.names):
            first, *others = words.lower().split(", ")
            usual.setdefault(first, []).append(node)
            for word in {words.lower(), first, *others}:
                having.setdefault(word, []).append(node)
        found = []
        for text in texts:
            wanted = text.strip().lower()
            best = usual.get(wanted, [])
            found.append([ids[text]] if text in ids else best if len(best) == 1 else having.get(wanted, []))
        return found

    def nodes_named(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the nodes `(K,)` that texts mean.

        Args:
            texts: As of `meant_by`.

        Raises:
            InputError: When one means no node, or several.
        """
        meant = self.meant_by(texts)
        unknown = [shown(text) for text, nodes in zip(texts, meant, strict=True) if not nodes]
        if unknown:
            listed = ", ".join(unknown[:_NAMED_AT_MOST]) + (", …" if len(unknown) > _NAMED_AT_MOST else "")
            several = f"s for {len(unknown)} of {len(texts)} classes:" if len(unknown) > 1 else ""
            raise InputError(
                f"the graph has no node{several} {listed}",
                code="unknown_node",
                expected=_NO_NODES,
                hint="rename the folder to a WordNet id or name, or leave it out",
            )
        return np.array([self._only(text, nodes) for text, nodes in zip(texts, meant, strict=True)], np.int64)

    def told_apart(self, nodes: Sequence[int], kinds: NDArray[np.int64] | None) -> str:
        """Return the first five of `nodes` in words: id, name, and the first thing that each is a kind of by `kinds (P, 2)`."""
        told = []
        for node in nodes[:_NAMED_AT_MOST]:
            above = () if kinds is None else kinds[kinds[:, 0] == node, 1][:1].tolist()
            kind = "".join(f", a kind of {self.names[parent].split(', ')[0]}" for parent in above)
            told.append(f"{self.wnids[node]} ({self.names[node]}){kind}")
        return "; ".join(told)

    def _only(self, text: str, nodes: Sequence[int]) -> int:
        if len(nodes) == 1:
            return nodes[0]
        raise InputError(
            f"{shown(text)} means {len(nodes)} nodes of the graph: {self.told_apart(nodes, self.kinds)}",
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
    """Read the `.npz` with `edges (E, 2)`, `wnids (N,)` and `names (N,)`, and `kinds (P, 2)` where the graph is no part of WordNet.

    Raises:
        InputError: When it cannot be read or is no such graph.
    """
    try:
        with open_arrays(path, hint=_OTHER_FILE) as file:
            kinds = file["kinds"].astype(np.int64) if "kinds" in file else None
            names = tuple(file["wnids"].tolist()), tuple(file["names"].tolist())
            return WordNetGraph(*names, file["edges"].astype(np.int64), kinds)
    except InputError:
        raise
    except (OSError, ValueError, KeyError) as cause:
        raise InputError(
            f"this is no graph ({cause})",
            code="bad_graph",
            where=Place(str(path)),
            expected="an .npz with edges, wnids and names",
            hint=_OTHER_FILE,
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
