"""Classifier rows of every node of a graph, learned from those of a classifier that was trained on images of some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.node_network import NodeNetwork, ReceptiveField
from edgezsl.zsl.knowledge.propagation import RingPropagation, SymmetricPropagation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
    from edgezsl.zsl.knowledge.propagation import Propagation

KnowledgeMethod = Literal["gcnz", "dgp", "dgp-u"]
GRAPH_METHODS: tuple[KnowledgeMethod, ...] = get_args(KnowledgeMethod)


@dataclass(frozen=True, slots=True)
class NodeSchedule:
    """How a network is trained; one step sees every known row.

    Attributes:
        hidden: Widths of the hidden layers: one for two layers.
        steps: Of Adam.
        learning_rate: Of Adam.
        decay: Of the weights, as an L2 penalty.
        dropout: Before each layer but the first, in [0, 1).
        seed: Of the start and of dropout.
    """

    hidden: tuple[int, ...] = (2048,)
    steps: int = 100
    learning_rate: float = 1e-3
    decay: float = 5e-4
    dropout: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class NodeStep:
    """How far training is.

    Attributes:
        done: Steps taken.
        total: Of the schedule.
        loss: Half the mean squared distance from the known rows.
    """

    done: int
    total: int
    loss: float


@dataclass(slots=True, eq=False)
class NodeClassifier:
    """A network that says what the classifier row of any node would be.

    The known rows are its targets, less their mean and at length 1: what all classifiers share tells no classes apart.

    Attributes:
        propagation: What a layer gathers from.
        schedule: How it is trained.
        mean_: `(D,)` of the known rows.
        network_: The network.
    """

    propagation: Propagation
    schedule: NodeSchedule = field(default_factory=NodeSchedule)
    mean_: NDArray[np.float64] = field(init=False, repr=False)
    network_: NodeNetwork = field(init=False, repr=False)

    def fit_steps(
        self, graph: KnowledgeGraph, nodes: NDArray[np.int64], rows: NDArray[np.floating]
    ) -> Iterator[NodeStep]:
        """Train on the rows of `nodes (n,)` of a classifier, `rows (n, D)`; yield every step.

        The loss is that of dense graph propagation, and of GCNZ but for a factor: `Σ ‖ŵ − w‖² / 2n`.

        Raises:
            InputError: When there is not one row for each node.
        """
        if len(nodes) != len(rows):
            message = f"{len(nodes)} nodes have {len(rows)} rows"
            raise InputError(message, code="bad_rows", expected="a classifier row for each known node")
        self.mean_ = rows.mean(axis=0, dtype=np.float64)
        targets = torch.from_numpy(unit(rows - self.mean_).astype(np.float32))
        widths = (graph.features.shape[1], *self.schedule.hidden, rows.shape[1])
        torch.manual_seed(self.schedule.seed)
        network = NodeNetwork(self.propagation.matrices, widths, dropout=self.schedule.dropout)
        seen = ReceptiveField.of(graph, self.propagation, nodes, layers=len(network.layers))
        optimizer = torch.optim.Adam(
            network.parameters(), self.schedule.learning_rate, weight_decay=self.schedule.decay
        )
        self.network_ = network
        for done in range(1, self.schedule.steps + 1):
            network.train()
            loss = (network(seen) - targets).square().sum(1).mean() / 2
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            network.eval()
            yield NodeStep(done, self.schedule.steps, loss.item())

    def rows(self, graph: KnowledgeGraph, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the predicted rows of `nodes (K,)`, at length 1, `(K, D)`: class prototypes for the classifier's features.

        Args:
            graph: The one that was trained on, or the same with more nodes.
            nodes: Of `graph`.
        """
        layers = len(self.network_.layers)
        with torch.no_grad():
            found = self.network_(ReceptiveField.of(graph, self.propagation, nodes, layers=layers))
        return unit(found.numpy().astype(np.float64))


def node_classifier(method: KnowledgeMethod, schedule: NodeSchedule, *, farthest: int | None = None) -> NodeClassifier:
    """Return a classifier of nodes, not yet fitted, by the name of its method.

    Args:
        method: `gcnz`, `dgp`, or `dgp-u`: rings of a graph whose edges have no direction.
        schedule: How it is trained.
        farthest: The last ring; None: 4 of `dgp`, as in its paper, and 2 of `dgp-u`.
    """
    if method == "gcnz":
        return NodeClassifier(SymmetricPropagation(), schedule)
    directed = method == "dgp"
    return NodeClassifier(RingPropagation(farthest or (4 if directed else 2), directed), schedule)


def row_prototypes(
    rows: NDArray[np.floating], feature_mean: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vectors `(K, D)` and bias `(K,)` by which features are scored as if they were centred: what goes into a class pack.

    Predicted rows say how classes differ from the mean class, so that the mean feature should speak for none of them.

    Args:
        rows: `(K, D)` predicted rows.
        feature_mean: `(D,)` of the encoder's features of seen classes.
    """
    vectors = np.asarray(rows, np.float64)
    return vectors, -vectors @ feature_mean
