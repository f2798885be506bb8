"""Networks on a graph whose answer for a node is the classifier row of a class: GCNZ and DGP.

They differ in what a layer gathers from, and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.knowledge.propagation import sparse_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
    from edgezsl.zsl.knowledge.propagation import Propagation

_SLOPE = 0.2  # of LeakyReLU below 0, in both papers


@dataclass(frozen=True, slots=True, eq=False)
class ReceptiveField:
    """All that the answers for some nodes hang on.

    Attributes:
        gathered: `(M, n₁, A)`: features as each matrix of the first layer gathers them; nothing of that is learned.
        matrices: For each later layer, its matrices `(n_l, n_(l-1))`, sparse.
    """

    gathered: Tensor
    matrices: tuple[tuple[Tensor, ...], ...]

    @classmethod
    def of(
        cls, graph: KnowledgeGraph, propagation: Propagation, nodes: NDArray[np.int64], *, layers: int
    ) -> ReceptiveField:
        """Return the field of `nodes (n,)` under a network of `layers` layers."""
        later: list[tuple[Tensor, ...]] = []
        wanted = nodes
        for layer in range(layers - 1, 0, -1):
            entries = propagation.entries(graph, layer, wanted)
            inputs = np.unique(np.concatenate([one.nodes for one in entries]))
            later.append(tuple(sparse_matrix(one, inputs, rows=len(wanted)) for one in entries))
            wanted = inputs
        entries = propagation.entries(graph, 0, wanted)
        every, features = np.arange(len(graph.features)), torch.from_numpy(graph.features)
        gathered = [torch.sparse.mm(sparse_matrix(one, every, rows=len(wanted)), features) for one in entries]
        return cls(torch.stack(gathered), tuple(reversed(later)))


class NodeNetwork(nn.Module):
    """`H' = LeakyReLU(Σ_k a_k M_k H Θ + b)` in each layer, no rectifier in the last, rows of length 1 at the end.

    With the one matrix of `SymmetricPropagation` it is the graph convolutional network of Wang, Ye and Gupta, "Zero-shot recognition via
    semantic embeddings and knowledge graphs", CVPR 2018, section 3. With two layers and `RingPropagation` it is dense graph propagation:
    Kampffmeyer et al., CVPR 2019, section 3, where the weights a of distances are a softmax of learned numbers, one for each layer.

    Args:
        matrices: How many a layer has.
        widths: Of the features, of each hidden layer, and of the rows.
        dropout: Share of the units between two layers that a step does not see, in [0, 1).
    """

    def __init__(self, matrices: int, widths: Sequence[int], *, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, units) for inputs, units in pairwise(widths))
        self.distances = nn.ParameterList(nn.Parameter(torch.zeros(matrices)) for _ in self.layers)
        self.dropout = dropout
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, field: ReceptiveField) -> Tensor:
        """Return the rows of the field's nodes `(n, D)`, of length 1."""
        hidden = self._layer(0, torch.einsum("m,mna->na", self.distance_weights(0), field.gathered))
        for number, matrices in enumerate(field.matrices, start=1):
            hidden = functional.leaky_relu(hidden, _SLOPE)
            hidden = functional.dropout(hidden, self.dropout, self.training)
            weights = self.distance_weights(number)
            mixed = [weight * torch.sparse.mm(one, hidden) for weight, one in zip(weights, matrices, strict=True)]
            hidden = self._layer(number, torch.stack(mixed).sum(0))
        return functional.normalize(hidden, dim=1)

    def distance_weights(self, layer: int) -> Tensor:
        """Return a `(matrices,)` of a layer; their sum is 1."""
        weights: Tensor = self.distances[layer].softmax(0)
        return weights

    def _layer(self, number: int, gathered: Tensor) -> Tensor:
        answer: Tensor = self.layers[number](gathered)
        return answer
