"""How what nodes know reaches other nodes: matrices with a row for each node that is asked about.

Nothing here is learned. A matrix is sparse, and only the rows that are asked for are made: the classifier rows of a thousand
classes hang on a part of 32,297 nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from edgezsl.zsl.knowledge.rings import Arcs, Ring, distance_rings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph

PROPAGATION_STEPS = 60  # those of the figures that networks are compared with


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What a sparse matrix holds, by node.

    Attributes:
        rows: `(P,)`: places in the nodes that are asked about.
        nodes: `(P,)`: nodes that they gather from.
        values: `(P,)` float32.
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.int64]
    values: NDArray[np.float32]


class Propagation(Protocol):
    """What a layer of a graph network gathers from."""

    @property
    def matrices(self) -> int:
        """How many matrices a layer has."""

    def entries(self, graph: KnowledgeGraph, layer: int, nodes: NDArray[np.int64]) -> tuple[Entries, ...]:
        """Return the rows of `nodes (n,)` of each matrix of a layer, counted from 0."""


@dataclass(frozen=True, slots=True)
class SymmetricPropagation:
    """`D^(−1/2) (A + I) D^(−1/2)`, D the degrees of `A + I`: Kipf and Welling, ICLR 2017, equation 2."""

    @property
    def matrices(self) -> int:
        """How many matrices a layer has."""
        return 1

    def entries(self, graph: KnowledgeGraph, layer: int, nodes: NDArray[np.int64]) -> tuple[Entries, ...]:  # noqa: ARG002  # every layer is alike
        """Return the rows of `nodes (n,)` of the one matrix that every layer has."""
        rows, others = _neighbours_and_self(graph.edges, len(graph.features), nodes)
        degrees = 1.0 + np.bincount(graph.edges.ravel(), minlength=len(graph.features))
        values = 1 / np.sqrt(degrees[nodes[rows]] * degrees[others])
        return (Entries(rows, others, values.astype(np.float32)),)


@dataclass(frozen=True, slots=True)
class RingPropagation:
    """A matrix for each distance, whose rows are means over the nodes *at* that distance.

    Directed, the first layer gathers from descendants and the next from ancestors, and so on in turn, and the last matrix also holds
    whatever is farther away: Kampffmeyer et al., "Rethinking knowledge graph propagation for zero-shot learning", CVPR 2019, section 3.
    Without directions, rings around a node soon hold most of the graph, so that the last one ends there.

    Attributes:
        farthest: The distance of the last matrix; the first is the node itself.
        directed: Whether descendants and ancestors are told apart.
    """

    farthest: int = 4
    directed: bool = True

    @property
    def matrices(self) -> int:
        """How many matrices a layer has."""
        return self.farthest + 1

    def entries(self, graph: KnowledgeGraph, layer: int, nodes: NDArray[np.int64]) -> tuple[Entries, ...]:
        """Return the rows of `nodes (n,)` of each matrix of a layer, counted from 0."""
        count = len(graph.features)
        if self.directed:
            arcs = Arcs.of(graph.kinds if layer % 2 else graph.kinds[:, ::-1], count)
        else:
            arcs = Arcs.both_ways(graph.edges, count)
        rings = distance_rings(arcs, nodes, farthest=self.farthest, and_beyond=self.directed)
        return tuple(_means(ring, len(nodes)) for ring in rings)


def label_propagation(
    graph: KnowledgeGraph, nodes: NDArray[np.int64], rows: NDArray[np.floating], *, steps: int = PROPAGATION_STEPS
) -> NDArray[np.float32]:
    """Return a row for each node `(N, D)`: again and again the mean of a node and its neighbours, known rows put back.

    Zhu and Ghahramani, "Learning from labeled and unlabeled data with label propagation", 2002.

    Args:
        graph: The graph.
        nodes: `(n,)` nodes whose rows are known.
        rows: `(n, D)`, centred: elsewhere rows start at 0.
        steps: How often.
    """
    count = len(graph.features)
    everything = np.arange(count)
    places, others = _neighbours_and_self(graph.edges, count, everything)
    matrix = sparse_matrix(_means(Ring(places, others), count), everything)
    known = torch.from_numpy(np.asarray(rows, np.float32))
    found = torch.zeros(count, known.shape[1])
    where = torch.from_numpy(nodes)
    found[where] = known
    for _ in range(steps):
        found = torch.sparse.mm(matrix, found)
        found[where] = known
    answer: NDArray[np.float32] = found.numpy()
    return answer


def sparse_matrix(entries: Entries, inputs: NDArray[np.int64], *, rows: int | None = None) -> Tensor:
    """Return the matrix `(n, m)` float32, sparse, its columns the nodes `inputs (m,)`, ascending.

    Args:
        entries: What it holds.
        inputs: Every node that is gathered from, and maybe others.
        rows: n; None: as many as inputs.
    """
    where = torch.from_numpy(np.stack([entries.rows, np.searchsorted(inputs, entries.nodes)]))
    size = (len(inputs) if rows is None else rows, len(inputs))
    matrix: Tensor = torch.sparse_coo_tensor(where, torch.from_numpy(entries.values), size, check_invariants=True)
    return matrix.coalesce()


def _neighbours_and_self(
    edges: NDArray[np.int64], count: int, nodes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places, others = Arcs.both_ways(edges, count).from_each(nodes)
    return np.concatenate([places, np.arange(len(nodes))]), np.concatenate([others, nodes])


def _means(ring: Ring, count: int) -> Entries:
    """Return the entries of rows that are means over a ring; a row of an empty ring has none."""
    sizes = np.bincount(ring.places, minlength=count)
    return Entries(ring.places, ring.nodes, (1 / sizes[ring.places]).astype(np.float32))
