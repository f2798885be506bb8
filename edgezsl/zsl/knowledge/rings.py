"""Which nodes are at which distance: the rings around a node that dense graph propagation gathers from.

A ring is not a power of the adjacency: where two ways lead to a node, or a short and a long one, it is in the ring of the shortest, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """Where one can go from each node, by one step.

    Attributes:
        first: `(N + 1,)`: where the ends of a node's arcs begin in `ends`.
        ends: `(P,)` nodes.
    """

    first: Numbers
    ends: Numbers

    @classmethod
    def of(cls, pairs: NDArray[np.integer], count: int) -> Arcs:
        """Return the arcs from the first to the second node of each of `pairs (P, 2)`, among `count` nodes."""
        order = np.argsort(pairs[:, 0], kind="stable")
        counts = np.bincount(pairs[:, 0], minlength=count)
        return cls(np.concatenate([[0], np.cumsum(counts)]), pairs[order, 1].astype(np.int64))

    @classmethod
    def both_ways(cls, pairs: NDArray[np.integer], count: int) -> Arcs:
        """Return the arcs between the nodes of each of `pairs (P, 2)`, there and back."""
        return cls.of(np.concatenate([pairs, pairs[:, ::-1]]), count)

    def from_each(self, nodes: Numbers) -> tuple[Numbers, Numbers]:
        """Return, for every arc that begins in one of `nodes (n,)`, the place in `nodes` and the node that it leads to."""
        counts = self.first[nodes + 1] - self.first[nodes]
        places = np.repeat(np.arange(len(nodes)), counts)
        # The k-th arc of a node is k places after its first one.
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return places, self.ends[self.first[nodes][places] + within]


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """Pairs of a node and another at some distance from it.

    Attributes:
        places: `(P,)` places in the nodes that were asked about.
        nodes: `(P,)` nodes in their ring.
    """

    places: Numbers
    nodes: Numbers


def distance_rings(arcs: Arcs, nodes: NDArray[np.integer], *, farthest: int, and_beyond: bool) -> tuple[Ring, ...]:
    """Return the rings at the distances 0 to `farthest` of `nodes (n,)`: a node itself is its ring at 0.

    Args:
        arcs: What one step is.
        nodes: Asked about.
        farthest: The last ring.
        and_beyond: Whether the last ring also holds whatever is farther away.
    """
    count = len(arcs.first) - 1
    # A pair is one number, so that sets of pairs are sorted arrays.
    edge = np.sort(np.arange(len(nodes)) * count + nodes)
    known, rings = edge, [edge]
    while len(edge) and (len(rings) <= farthest or and_beyond):
        places, reached = arcs.from_each(edge % count)
        edge = np.setdiff1d(edge[places] // count * count + reached, known)
        known = np.union1d(known, edge)
        rings.append(edge)
    rings += [edge[:0]] * (farthest + 1 - len(rings))
    last = np.sort(np.concatenate(rings[farthest:]))
    return tuple(Ring(pairs // count, pairs % count) for pairs in (*rings[:farthest], last))
