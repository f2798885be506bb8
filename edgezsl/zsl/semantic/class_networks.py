"""Networks on the side of classes: a description goes in, a class prototype comes out.

The side of images stays as it is, so that such a method folds like a bilinear one: the network is run once for each class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.accelerator import accelerator, seeded_start
from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows


@dataclass(frozen=True, slots=True)
class ClassNetworkSchedule:
    """How a network is trained.

    Attributes:
        width: Of its hidden layer.
        epochs: Passes over the rows.
        learning_rate: Of Adam, falling to 0 by half a cosine.
        decay: Of the weights (AdamW).
        batch: Rows of a step.
        seed: Of the start and of the order of rows.
    """

    width: int = 1024
    epochs: int = 30
    learning_rate: float = 1e-4
    decay: float = 1e-4
    batch: int = 256
    seed: int = 0


@dataclass(slots=True, eq=False)
class Dem:
    """A deep embedding model: what an image of a class looks like, predicted from what describes it; the nearest wins.

    Zhang, Xiang and Gong, "Learning a deep embedding model for zero-shot learning", CVPR 2017, equation 2: two layers, each
    followed by a rectifier, as features of a network that ends in one are not negative.

    Attributes:
        schedule: How it is trained.
        network_: Descriptions `(K, A)` to predicted features `(K, F)`.
    """

    schedule: ClassNetworkSchedule = field(default_factory=ClassNetworkSchedule)
    network_: nn.Module = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Dem:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        width, scale = self.schedule.width, math.sqrt(features.shape[1])
        with seeded_start(self.schedule.seed):
            last = nn.Linear(width, features.shape[1])
            nn.init.constant_(last.bias, 1 / scale)  # else a rectifier that starts at nothing stays there
            network = nn.Sequential(nn.Linear(semantics.shape[1], width), nn.ReLU(), last, nn.ReLU())

        def loss(predicted: Tensor, images: Tensor, targets: Tensor) -> Tensor:
            return (images - predicted[targets]).square().sum(1).mean()

        self.network_ = _fitted(network, loss, (features, labels, semantics), self.schedule)
        return self

    def embed(self, features: Rows) -> Rows:
        """Return the features `(N, F)` at length 1."""
        return unit(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the predicted features μ `(K, F)` and `−‖μ‖²/2 (K,)`: the nearest in Euclid's distance has the best score."""
        vectors = _answers(self.network_, semantics)
        return vectors, -np.square(vectors).sum(axis=1) / 2


@dataclass(slots=True, eq=False)
class ClassNormalized:
    """A network with class normalisation, whose scores are scaled cosines: CN-ZSL.

    Skorokhodov and Elhoseiny, "Class normalization for (continual) generalized zero-shot learning", ICLR 2021: logits are
    `γ² cos`, hidden units are standardised over classes (equation 9), and the last layer starts with a variance that keeps
    that of the logits (equation 10). Over the seen classes, in training and afterwards: a prototype must not depend on the
    classes that stand beside it.

    Attributes:
        schedule: How it is trained.
        scale: γ.
        network_: Descriptions `(K, A)` to class prototypes `(K, F)`, of any length.
    """

    schedule: ClassNetworkSchedule = field(default_factory=ClassNetworkSchedule)
    scale: float = 5.0
    network_: nn.Module = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> ClassNormalized:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        width, out = self.schedule.width, features.shape[1]
        with seeded_start(self.schedule.seed):
            last = nn.Linear(width, out)
            reach = math.sqrt(3 / (width * out))  # of a uniform distribution whose variance is 1 / (width · out)
            nn.init.uniform_(last.weight, -reach, reach)
            network = nn.Sequential(
                nn.Linear(semantics.shape[1], width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.BatchNorm1d(width, affine=False, momentum=None),
                nn.ReLU(),
                nn.BatchNorm1d(width, affine=False, momentum=None),
                last,
                nn.ReLU(),  # as the features of a network that ends in one
            )

        def loss(predicted: Tensor, images: Tensor, targets: Tensor) -> Tensor:
            cosines = functional.normalize(images, dim=1) @ functional.normalize(predicted, dim=1).T
            return functional.cross_entropy(self.scale**2 * cosines, targets)

        self.network_ = _fitted(network, loss, (features, labels, semantics), self.schedule)
        return self

    def embed(self, features: Rows) -> Rows:
        """Return the features `(N, F)` at length 1."""
        return unit(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return class prototypes `(K, F)` at length 1; no bias."""
        return unit(_answers(self.network_, semantics)), np.zeros(len(semantics))


def _fitted(
    network: nn.Sequential,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    data: tuple[Rows, NDArray[np.integer], Rows],
    schedule: ClassNetworkSchedule,
) -> nn.Module:
    """Train a network on all seen classes and a batch of rows at a time."""
    features, labels, semantics = data
    classes, rows = np.unique(labels, return_inverse=True)
    device = accelerator()
    images = torch.from_numpy(unit(features).astype(np.float32)).to(device)
    described = torch.from_numpy(unit(semantics[classes]).astype(np.float32)).to(device)
    targets = torch.from_numpy(rows).to(device)
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), schedule.learning_rate, weight_decay=schedule.decay, fused=True)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.epochs)
    generator = torch.Generator(device).manual_seed(schedule.seed)
    for _ in range(schedule.epochs):
        for batch in torch.split(torch.randperm(len(images), generator=generator, device=device), schedule.batch):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(network(described), images[batch], targets[batch]))
            optimizer.step()
        rates.step()
    _keep_statistics(network, described)
    return network.cpu().eval()


@torch.no_grad()
def _keep_statistics(network: nn.Sequential, described: Tensor) -> None:
    """Let a network normalise by seen classes as it did in training: PyTorch itself keeps the variance of a sample, not that of the rows."""
    rows = described
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean, layer.running_var = rows.mean(0), rows.var(0, unbiased=False)
            layer.eval()
        rows = layer(rows)


def _answers(network: nn.Module, semantics: Rows) -> Rows:
    with torch.no_grad():
        found: NDArray[np.float32] = network(torch.from_numpy(unit(semantics).astype(np.float32))).numpy()
    return found.astype(np.float64)
