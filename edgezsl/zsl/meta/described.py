"""Prototypical networks of classes that are described: a class-level episode of zero-shot learning for each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgezsl.zsl.accelerator import accelerator
from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows


@dataclass(slots=True, eq=False)
class DescribedProtoNet:
    """Images and descriptions mapped to where the nearest prototype, that of a description at length 1, is an image's class.

    Snell, Swersky and Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017, sections 2.7 and 3.3: both maps are linear. Each
    step is an episode: some seen classes play those of a new task, and images of each are asked about among these alone.

    Attributes:
        dim: D, of the common space.
        ways: Classes of an episode, at most those there are.
        queries: Images of each.
        episodes: Steps of Adam.
        learning_rate: Of it, falling to 0 by half a cosine.
        decay: Of the weights (AdamW).
        seed: Of the start, and of what is drawn.
        image_map_: `(F, D)`.
        class_map_: `(A, D)`.
    """

    dim: int = 1024
    ways: int = 50
    queries: int = 10
    episodes: int = 2000
    learning_rate: float = 1e-3
    decay: float = 1e-5
    seed: int = 0
    image_map_: Rows = field(init=False, repr=False)
    class_map_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> DescribedProtoNet:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        classes, rows = np.unique(labels, return_inverse=True)
        device = accelerator()
        images = torch.from_numpy(unit(features).astype(np.float32)).to(device)
        described = torch.from_numpy(unit(semantics[classes]).astype(np.float32)).to(device)
        random = np.random.default_rng(self.seed)
        own = [np.flatnonzero(rows == one) for one in range(len(classes))]
        start = torch.Generator().manual_seed(self.seed)
        maps = [
            (torch.randn(width, self.dim, generator=start) / np.sqrt(width)).to(device).requires_grad_()
            for width in (images.shape[1], described.shape[1])
        ]
        optimizer = torch.optim.AdamW(maps, self.learning_rate, weight_decay=self.decay, fused=True)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.episodes)
        for _ in range(self.episodes):
            drawn = random.permutation(len(classes))[: self.ways]
            asked = np.concatenate([random.choice(own[one], self.queries) for one in drawn])
            targets = torch.arange(len(drawn), device=device).repeat_interleave(self.queries)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(_loss(images[asked] @ maps[0], described[drawn] @ maps[1], targets))
            optimizer.step()
            rates.step()
        self.image_map_, self.class_map_ = (one.detach().cpu().numpy().astype(np.float64) for one in maps)
        return self

    def embed(self, features: Rows) -> Rows:
        """Return mapped features `(N, D)`."""
        return unit(features) @ self.image_map_

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return mapped descriptions μ `(K, D)` at length 1, and `−‖μ‖²/2 (K,)`: the nearest has the best score."""
        vectors = unit(unit(semantics.astype(np.float64)) @ self.class_map_)
        return vectors, -np.square(vectors).sum(axis=1) / 2


def _loss(images: Tensor, described: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of `−‖image − prototype‖²`, of which what all prototypes share is left out (equation 2)."""
    prototypes = functional.normalize(described, dim=1)
    return functional.cross_entropy(2 * images @ prototypes.T - prototypes.square().sum(dim=1), targets)
