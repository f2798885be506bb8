"""Bilinear compatibilities `xᵀ W s` that are learned by ranking: DeViSE, ALE and SJE differ in their loss alone.

All three punish wrong classes that come near the right one: all of them (DeViSE), all of them by how many there are (ALE), or
the worst (SJE).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from edgezsl.zsl.accelerator import accelerator
from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows

Ranking = Literal["devise", "ale", "sje"]
_BATCH = 64


@dataclass(slots=True, eq=False)
class Bilinear:
    """A bilinear compatibility learned by ranking.

    Attributes:
        ranking: `devise`: Frome et al., "DeViSE: a deep visual-semantic embedding model", NeurIPS 2013, equation 1. `ale`: Akata et
            al., "Label-embedding for image classification", TPAMI 2016, equation 10. `sje`: Akata et al., "Evaluation of output
            embeddings for fine-grained image classification", CVPR 2015, equation 4.
        margin: By which the right class must be ahead.
        learning_rate: Of Adam, falling to 0 by half a cosine.
        decay: Of the weights (AdamW).
        epochs: Passes over the rows.
        seed: Of the start and of the order of rows.
        weights_: W `(F, A)`.
    """

    ranking: Ranking = "ale"
    margin: float = 0.1
    learning_rate: float = 1e-3
    decay: float = 1e-4
    epochs: int = 20
    seed: int = 0
    weights_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Bilinear:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        classes, rows = np.unique(labels, return_inverse=True)
        device = accelerator()
        images = torch.from_numpy(unit(features).astype(np.float32)).to(device)
        described = torch.from_numpy(unit(semantics[classes]).astype(np.float32)).to(device)
        targets = torch.from_numpy(rows).to(device)
        generator = torch.Generator(device).manual_seed(self.seed)
        shape = images.shape[1], described.shape[1]
        start = torch.randn(shape, generator=generator, device=device) / np.sqrt(images.shape[1])
        weights = start.requires_grad_()
        optimizer = torch.optim.AdamW([weights], self.learning_rate, weight_decay=self.decay, fused=True)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        loss = LOSSES[self.ranking]
        for _ in range(self.epochs):
            for batch in torch.split(torch.randperm(len(images), generator=generator, device=device), _BATCH):
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss(images[batch] @ weights @ described.T, targets[batch], self.margin))
                optimizer.step()
            rates.step()
        self.weights_ = weights.detach().cpu().numpy().astype(np.float64)
        return self

    def embed(self, features: Rows) -> Rows:
        """Return the features `(N, F)` at length 1."""
        return unit(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return `W s (K, F)`; no bias."""
        return unit(semantics) @ self.weights_.T, np.zeros(len(semantics))


def violations(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return by how much each wrong class is nearer than the margin to the right one `(N, K)`, 0 for the right one."""
    right = scores.gather(1, targets[:, None])
    found = (margin + scores - right).clamp_min(0)
    return found.scatter(1, targets[:, None], 0.0)


def devise_loss(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return the sum over wrong classes, mean over rows."""
    return violations(scores, targets, margin).sum(1).mean()


def ale_loss(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return the sum over wrong classes, weighted by `(1 + 1/2 + … + 1/r) / r` where r classes violate; mean over rows."""
    found = violations(scores, targets, margin)
    count = (found > 0).sum(1)
    harmonic = torch.cumsum(1 / torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device), 0)
    weight = harmonic[(count - 1).clamp_min(0)] / count.clamp_min(1)
    return (weight * found.sum(1)).mean()


def sje_loss(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return the worst violation, mean over rows."""
    return violations(scores, targets, margin).amax(1).mean()


LOSSES: dict[Ranking, Callable[[Tensor, Tensor, float], Tensor]] = {
    "devise": devise_loss,
    "ale": ale_loss,
    "sje": sje_loss,
}
