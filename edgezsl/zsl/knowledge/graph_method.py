"""A network on a graph as a zero-shot method: what describes a class to it is which node of the graph it is.

It is fitted, chosen and judged as any other, by the mean features of seen classes; it gives a row to every node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.node_classifier import NodeSchedule, node_classifier, row_prototypes
from edgezsl.zsl.method import class_means
from edgezsl.zsl.methods import MethodEntry
from edgezsl.zsl.space import Choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
    from edgezsl.zsl.knowledge.node_classifier import KnowledgeMethod, NodeClassifier
    from edgezsl.zsl.method import Rows

# Hidden layers and their widths: those that benchmarks/wordnet_graph.py chose on two cores. The papers have six layers of GCNZ, and 2,048.
_HIDDEN: dict[KnowledgeMethod, int] = {"gcnz": 3, "dgp": 1, "dgp-u": 1}
_QUICK: dict[KnowledgeMethod, int] = {"gcnz": 64, "dgp": 128, "dgp-u": 128}
_FULL: dict[KnowledgeMethod, int] = {"gcnz": 256, "dgp": 512, "dgp-u": 512}
_LEARNING_RATE = 5e-3


@dataclass(slots=True, eq=False)
class GraphMethod:
    """Rows of classes by their nodes. An image's embedding is its features at length 1.

    Attributes:
        graph: Of which the classes are nodes.
        classifier: Gives rows to nodes.
    """

    graph: KnowledgeGraph
    classifier: NodeClassifier

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> GraphMethod:
        """Learn from the mean of `features (N, F)`, at length 1, of each class; return itself.

        Args:
            features: `(N, F)`.
            labels: `(N,)`, rows of `semantics`.
            semantics: `(C, 1)`, as `described_by` makes them.
        """
        classes, means = class_means(self.embed(features), labels)
        for _ in self.classifier.fit_steps(self.graph, _nodes(semantics)[classes], means):
            pass
        return self

    def embed(self, features: Rows) -> Rows:
        """Return `features (N, F)` at length 1."""
        return unit(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return vectors `(K, F)` and bias `(K,)` of the classes whose nodes are `semantics (K, 1)`."""
        return row_prototypes(self.classifier.rows(self.graph, _nodes(semantics)), self.classifier.mean_)


class NodeRows(nn.Module):
    """The side of classes as a workstation runs it: no ONNX graph is made of it, which would hold every node.

    Args:
        method: Fitted.
    """

    def __init__(self, method: GraphMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors `(K, F)` and biases `(K,)` of the classes whose nodes are `semantics (K, 1)`."""
        vectors, bias = self.method.prototypes(semantics.numpy())
        return torch.from_numpy(vectors), torch.from_numpy(bias)


def described_by(nodes: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the semantic embeddings `(K, 1)` of the classes that are `nodes (K,)`: their numbers, below 2**24."""
    return np.asarray(nodes, np.float32).reshape(-1, 1)


def graph_entry(name: KnowledgeMethod, graph: KnowledgeGraph) -> MethodEntry:
    """Return a method on a graph as something that can be trained by its name.

    Args:
        name: `gcnz`, `dgp` or `dgp-u`.
        graph: Its nodes are the classes.
    """
    return MethodEntry(
        name,
        "graph",
        partial(_graph_method, name, graph),
        {"steps": Choices((15, 30, 45, 60))},
        quick={"width": _QUICK[name]},
        full={"width": _FULL[name]},
        seeded=True,
    )


def _graph_method(name: KnowledgeMethod, graph: KnowledgeGraph, *, width: int, steps: int, seed: int) -> GraphMethod:
    schedule = NodeSchedule((width,) * _HIDDEN[name], steps, _LEARNING_RATE, seed=seed)
    return GraphMethod(graph, node_classifier(name, schedule))


def _nodes(semantics: Rows) -> NDArray[np.int64]:
    return semantics[:, 0].astype(np.int64)
