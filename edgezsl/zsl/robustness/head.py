"""A visual head: a linear map behind an encoder that stays as it is, trained against attacks, so that it folds into the encoder.

The map is the identity and a change to it. What is punished is the change; with nothing learned the classifier is the one that was
there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.classifier import PrototypeClassifier
from edgezsl.zsl.robustness.training import RobustSchedule, fit_against
from edgezsl.zsl.semantic.ridge import PrototypeRidge

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows, ZeroShotMethod


class VisualHead(nn.Module):
    """Embeddings x `(N, D)` to unit(x + Wx + b), with W and b that start at 0.

    Args:
        dim: D.
        dropout: Share of the values that Wx is made of without, while it is trained.
    """

    def __init__(self, dim: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.change = nn.Linear(dim, dim)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return unit embeddings `(N, D)`."""
        return functional.normalize(embeddings + self.change(self.dropout(embeddings)), dim=1)


@dataclass(slots=True, eq=False)
class RobustHead:
    """A method, and a visual head behind its embedding that is trained on seen classes, against an attack on what it is given.

    The prototypes are those of the method. What is attacked is its embedding.

    Attributes:
        inner: The method; not yet fitted.
        reach: ε of the attack on each value of an embedding, times √D: the greatest change of a unit embedding, in its length. 0: no attack.
        dropout: Of the head.
        logit_scale: Of the loss.
        batch: Rows of a step.
        schedule: How the head is trained.
        head_: The head.
    """

    inner: ZeroShotMethod = field(default_factory=PrototypeRidge)
    reach: float = 0.2
    dropout: float = 0.0
    logit_scale: float = 20.0
    batch: int = 256
    schedule: RobustSchedule = field(default_factory=lambda: RobustSchedule(decay=0.1))
    head_: VisualHead = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> RobustHead:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        self.inner.fit(features, labels, semantics)
        classes, rows = np.unique(labels, return_inverse=True)
        inputs = torch.from_numpy(self.inner.embed(features).astype(np.float32))
        targets = torch.from_numpy(rows.astype(np.int64))
        dim = inputs.shape[1]
        self.head_ = VisualHead(dim, dropout=self.dropout)
        vectors, bias = self.inner.prototypes(semantics[classes])
        classifier = PrototypeClassifier(self.head_, vectors, bias, logit_scale=self.logit_scale)
        generator = torch.Generator().manual_seed(self.schedule.seed)

        def draw(_number: int) -> tuple[Tensor, Tensor]:
            chosen = torch.randint(len(inputs), (self.batch,), generator=generator)
            return inputs[chosen], targets[chosen]

        for _ in fit_against(classifier, draw, self.ball(dim), self.schedule):
            pass
        return self

    def ball(self, dim: int) -> Ball:
        """Return what the attack may make of an embedding `(D,)`."""
        return Ball(self.reach / float(np.sqrt(dim)))

    def embed(self, features: Rows) -> Rows:
        """Return unit embeddings `(N, D)`."""
        weight, bias = (one.detach().numpy().astype(np.float64) for one in self.head_.change.parameters())
        embeddings = self.inner.embed(features)
        return unit(embeddings + embeddings @ weight.T + bias)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return those of the method `(K, D)` and `(K,)`."""
        return self.inner.prototypes(semantics)


def robust_head(
    *, penalty: float = 0.01, reach: float = 0.2, dropout: float = 0.0, seed: int = 0, **settings: float
) -> RobustHead:
    """Return a head behind prototype-ridge, not yet fitted.

    Args:
        penalty: Of the ridge regression.
        reach: Of the attack; 0: none.
        dropout: Of the head.
        seed: Of everything that is drawn.
        settings: Of the schedule: `steps`, `learning_rate`, `attacked_share`, `attack_steps`, `mixup`, `l1`, `decay`.
    """
    schedule = RobustSchedule(**{"decay": 0.1, "seed": seed, **settings})  # type: ignore[arg-type]  # checked where it is made
    return RobustHead(PrototypeRidge(penalty), reach=reach, dropout=dropout, schedule=schedule)
