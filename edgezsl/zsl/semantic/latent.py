"""LATEM: several bilinear maps, of which the best counts for each pair. A maximum is no product, so it does not fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgezsl.zsl.accelerator import accelerator
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.semantic.bilinear import devise_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.zsl.method import Rows

_BATCH = 128


@dataclass(slots=True, eq=False)
class Latem:
    """A compatibility `max_i xᵀ W_i s` learned by ranking: which map is the best one stays latent.

    Xian et al., "Latent embeddings for zero-shot classification", CVPR 2016, equations 2 and 3. Every wrong class counts that comes
    nearer than the margin, where the paper draws one at random, and the number of maps is a setting, where it is pruned. Maps are
    learned in the axes of the seen descriptions, and are nothing where none of these reaches.

    Attributes:
        maps: How many, ≥ 1.
        margin: By which the right class must be ahead.
        learning_rate: Of Adam, falling to 0 by half a cosine.
        decay: Of the weights (AdamW).
        epochs: Passes over the rows.
        seed: Of the start and of the order of rows.
        weights_: W `(maps, F, A)`.
    """

    maps: int = 4
    margin: float = 0.1
    learning_rate: float = 1e-3
    decay: float = 1e-4
    epochs: int = 20
    seed: int = 0
    weights_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Latem:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        classes, rows = np.unique(labels, return_inverse=True)
        axes = np.linalg.svd(unit(semantics[classes].astype(np.float64)), full_matrices=False)[2]
        device = accelerator()
        images = torch.from_numpy(unit(features).astype(np.float32)).to(device)
        along = unit(semantics[classes].astype(np.float64)) @ axes.T
        described = torch.from_numpy(along.astype(np.float32)).to(device)
        targets = torch.from_numpy(rows).to(device)
        generator = torch.Generator(device).manual_seed(self.seed)
        shape = self.maps, images.shape[1], len(axes)
        start = torch.randn(shape, generator=generator, device=device) / np.sqrt(images.shape[1])
        weights = start.requires_grad_()
        optimizer = torch.optim.AdamW([weights], self.learning_rate, weight_decay=self.decay, fused=True)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        for _ in range(self.epochs):
            for batch in torch.split(torch.randperm(len(images), generator=generator, device=device), _BATCH):
                optimizer.zero_grad(set_to_none=True)
                scores = (images[batch] @ (weights @ described.T)).amax(0)
                torch.autograd.backward(devise_loss(scores, targets[batch], self.margin))
                optimizer.step()
            rates.step()
        self.weights_ = weights.detach().cpu().numpy().astype(np.float64) @ axes
        return self

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return `max_i xᵀ W_i s (N, K)`, both sides at length 1."""
        result: Rows = (unit(features) @ (self.weights_ @ unit(semantics).T)).max(axis=0)
        return result
