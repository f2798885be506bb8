"""Fusion that does not fold: votes, soft and hard, and a network over the members' scores.

All three look at the classes that stand beside a class, so that no row of a matrix is a class: they are here to be compared with
`edgezsl.zsl.fusion.WeightedFusion`, which folds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgezsl.zsl.accelerator import seeded_start
from edgezsl.zsl.fusion import HeldScores, stacking_weights
from edgezsl.zsl.semantic.linear import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.fusion import Member
    from edgezsl.zsl.method import Rows


@dataclass(slots=True, eq=False)
class HardVoting:
    """Each member votes for its best class; of classes with as many votes the one with the higher mean score wins.

    Attributes:
        members: Any.
        scales_: σ of each `(M,)`.
    """

    members: tuple[Member, ...]
    scales_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> HardVoting:
        """Fit each member on `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        self.scales_ = np.array([member.fit(features, labels, semantics) for member in self.members])
        return self

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return the votes `(N, K)`, and less than one more by the mean score."""
        return hard_votes(_standard_scores(self.members, self.scales_, features, semantics))


@dataclass(slots=True, eq=False)
class SoftVoting:
    """The mean of the members' probabilities: of each, the softmax of its scores at a sharpness of its own.

    Attributes:
        members: Any.
        sharpness: Of each, on scores in units of σ: from `sharpness_of`.
        scales_: σ of each `(M,)`.
    """

    members: tuple[Member, ...]
    sharpness: tuple[float, ...]
    scales_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> SoftVoting:
        """Fit each member on `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        self.scales_ = np.array([member.fit(features, labels, semantics) for member in self.members])
        return self

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return the mean probabilities `(N, K)`."""
        return soft_votes(_standard_scores(self.members, self.scales_, features, semantics), self.sharpness)


@dataclass(slots=True, eq=False)
class NetworkStacking:
    """Stacking whose meta-learner is a network: what the members say of a pair goes in, the pair's score comes out.

    Attributes:
        members: Any.
        network: `(…, 2M)` to `(…, 1)`, from `stacking_network`.
        scales_: σ of each `(M,)`.
    """

    members: tuple[Member, ...]
    network: nn.Module
    scales_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> NetworkStacking:
        """Fit each member on `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; the network stays."""
        self.scales_ = np.array([member.fit(features, labels, semantics) for member in self.members])
        return self

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return the network's scores `(N, K)`."""
        return network_scores(self.network, _standard_scores(self.members, self.scales_, features, semantics))


def hard_votes(scores: Rows) -> Rows:
    """Return how many members have a class for their best `(N, K)`, and less than one more by the mean of `scores (M, N, K)`."""
    classes = scores.shape[2]
    votes = np.eye(classes)[scores.argmax(axis=2)].sum(axis=0)
    mean = scores.mean(axis=0)
    low, high = mean.min(axis=1, keepdims=True), mean.max(axis=1, keepdims=True)
    result: Rows = votes + (mean - low) / (2 * np.maximum(high - low, np.finfo(np.float64).tiny))
    return result


def soft_votes(scores: Rows, sharpness: tuple[float, ...]) -> Rows:
    """Return the mean over members of the softmax of `scores (M, N, K)`, each at its sharpness: `(N, K)`."""
    result: Rows = np.mean([softmax(factor * one) for factor, one in zip(sharpness, scores, strict=True)], axis=0)
    return result


def sharpness_of(held: HeldScores) -> tuple[float, ...]:
    """Return by what each member's scores are multiplied so that the right classes are likeliest."""
    return tuple(stacking_weights(HeldScores(one[None], held.targets))[0] for one in held.scores)


def stacking_network(held: HeldScores, *, width: int = 16, epochs: int = 200, seed: int = 0) -> nn.Module:
    """Return a network of one hidden layer, trained so that the right classes are likeliest.

    A pair of a row and a class goes in as the members' scores and by how much each falls short of the row's best.

    Args:
        held: Of classes that no member was fitted on.
        width: Of the hidden layer.
        epochs: Steps of Adam, each over all rows.
        seed: Of the start.
    """
    inputs, targets = _pairs(held.scores), torch.from_numpy(held.targets)
    shares = torch.from_numpy(held.shares().astype(np.float32))
    with seeded_start(seed):
        network = nn.Sequential(nn.Linear(inputs.shape[2], width), nn.Tanh(), nn.Linear(width, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad(set_to_none=True)
        losses = nn.functional.cross_entropy(network(inputs)[..., 0], targets, reduction="none")
        torch.autograd.backward(shares @ losses)
        optimizer.step()
    return network.eval()


def network_scores(network: nn.Module, scores: Rows) -> Rows:
    """Return a stacking network's scores `(N, K)` of members' `scores (M, N, K)`."""
    with torch.no_grad():
        found: NDArray[np.float32] = network(_pairs(scores))[..., 0].numpy()
    return found


def _pairs(scores: Rows) -> Tensor:
    behind = scores - scores.max(axis=2, keepdims=True)
    return torch.from_numpy(np.concatenate([scores, behind]).transpose(1, 2, 0).astype(np.float32))


def _standard_scores(members: tuple[Member, ...], scales: Rows, features: Rows, semantics: Rows) -> Rows:
    """Return the members' scores in units of σ `(M, N, K)`."""
    return np.array([member.scores(features, semantics) / scale for member, scale in zip(members, scales, strict=True)])
