"""How a class that is no node of the graph gets its row: by what it is a kind of, or by the nodes whose names are nearest.

Nothing is trained. On a workstation, as no device has the graph: what a device gets is the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
    from edgezsl.zsl.knowledge.node_classifier import NodeClassifier

NEAREST = 3


def rows_by_parents(
    classifier: NodeClassifier,
    graph: KnowledgeGraph,
    features: NDArray[np.floating],
    parents: Sequence[Sequence[int]],
) -> NDArray[np.float64]:
    """Return rows `(n, D)` at length 1 of classes that stand in the graph for as long as this takes.

    A class gets the row that it would have if the graph had held it from the beginning as a node without children.

    Args:
        classifier: Fitted.
        graph: The one that it was fitted on.
        features: `(n, A)`, made as those of the graph.
        parents: For each class, the nodes that it is a kind of.

    Raises:
        InputError: When a class has no parent.
    """
    count = len(graph.features)
    alone = [
        classifier.rows(graph.with_classes(features[number : number + 1], [above]), np.array([count]))
        for number, above in enumerate(parents)
    ]
    return np.concatenate(alone)


def rows_by_nearest_names(
    classifier: NodeClassifier,
    graph: KnowledgeGraph,
    features: NDArray[np.floating],
    *,
    count: int = NEAREST,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return rows `(n, D)` at length 1 of classes: the mean row of the `count` nodes with the nearest names.

    Args:
        classifier: Fitted.
        graph: The one that it was fitted on, its features embeddings of names.
        features: `(n, A)` embeddings of the names of the classes, made as those of the graph.
        count: How many nodes.
        among: Nodes that may be taken; None: every one.
    """
    nodes = np.arange(len(graph.features)) if among is None else among
    nearest = nodes[nearest_nodes(graph.features[nodes], features, count)]
    rows = classifier.rows(graph, np.unique(nearest))
    return unit(rows[np.searchsorted(np.unique(nearest), nearest)].mean(axis=1))


def nearest_nodes(names: NDArray[np.floating], features: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Return the `count` nodes `(n, count)` whose embeddings `names (N, A)` are nearest to each of `features (n, A)`, the nearest first."""
    likeness = unit(features) @ unit(names).T
    return np.argsort(-likeness, axis=1, kind="stable")[:, :count]
