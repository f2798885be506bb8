"""A graph of classes as methods see it: what each node is called, what it is joined to, and what it is a kind of.

A class that comes later is a node more. Nothing that was learned belongs to a node, so that it needs no training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeGraph:
    """N nodes.

    Attributes:
        features: `(N, A)` float32: what stands for a node at the first layer, such as an embedding of its name.
        edges: `(E, 2)` int64: nodes that are joined, each pair once, in any order.
        kinds: `(P, 2)` int64: a node, and what it is a kind of; no circles.
    """

    features: NDArray[np.float32]
    edges: NDArray[np.int64]
    kinds: NDArray[np.int64]

    def __post_init__(self) -> None:
        for pairs, what in ((self.edges, "edges"), (self.kinds, "kinds")):
            if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(self.features):
                raise InputError(
                    f"{what} name the nodes {pairs.min()} to {pairs.max()}",
                    code="bad_graph",
                    expected=f"nodes from 0 to {len(self.features) - 1}, one for each row of features",
                )

    def with_classes(self, features: NDArray[np.floating], parents: Sequence[Sequence[int]]) -> KnowledgeGraph:
        """Return the graph with a node more for each class, below what it is a kind of; they are numbered from N.

        Args:
            features: `(n, A)` of the classes.
            parents: For each class, nodes of this graph.

        Raises:
            InputError: When a class has no parent: nothing would reach it.
        """
        count = len(self.features)
        alone = [number for number, above in enumerate(parents) if not above]
        if alone or len(parents) != len(features):
            raise InputError(
                f"{len(features)} classes have {len(parents)} lists of parents, {len(alone)} of them empty",
                code="no_parents",
                expected="at least one parent for each class",
                hint="name what it is a kind of, or let it join by its nearest names",
            )
        new = [(count + number, parent) for number, above in enumerate(parents) for parent in dict.fromkeys(above)]
        pairs = np.array(new, np.int64).reshape(-1, 2)
        return KnowledgeGraph(
            np.concatenate([self.features, features.astype(np.float32)]),
            np.concatenate([self.edges, pairs]),
            np.concatenate([self.kinds, pairs]),
        )

    def without(self, nodes: NDArray[np.integer]) -> KnowledgeGraph:
        """Return the graph with nothing joined to `nodes (K,)`; every node keeps its number."""
        kept = [pairs[~np.isin(pairs, nodes).any(axis=1)] for pairs in (self.edges, self.kinds)]
        return KnowledgeGraph(self.features, *kept)

    def parents_of(self, node: int) -> list[int]:
        """Return what a node is a kind of."""
        found: list[int] = self.kinds[self.kinds[:, 0] == node, 1].tolist()
        return found
