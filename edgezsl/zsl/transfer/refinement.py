"""Transductive refinement: class prototypes that follow unlabelled images, within a trust region around their descriptions.

Each round the images are shared out among the classes by a softmax of their scores, and each prototype goes to the mean of its images,
its description counting as a few more of them: self-training (Scudder, "Probability of error of some adaptive pattern-recognition
machines", IEEE Transactions on Information Theory 11, 1965) with soft assignments, as of a mixture of von Mises-Fisher distributions
(Banerjee et al., "Clustering on the unit hypersphere", JMLR 6, 2005, section 4). What can go wrong is that a class follows images that
are not its own, because the list lacks theirs. So no prototype leaves the ball around where its description puts it, and the radius is
that which wrong lists of validation classes allow (`edgezsl.zsl.transfer.class_lists`).

What comes out are rows: a device scores them as any others. What goes in are features; no label is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import cosine_sides

if TYPE_CHECKING:
    from edgezsl.zsl.method import Rows, ZeroShotMethod

_STILL = 1e-4  # the largest change of a value of a prototype with which a round was the last


@dataclass(frozen=True, slots=True)
class TrustRegion:
    """How far prototypes may follow unlabelled images, and how they do.

    Attributes:
        radius: The largest angle between a prototype and where its description puts it, in [0, π/2] radians; 0: nothing moves.
        sharpness: Of the softmax of cosines by which images are shared out, > 0.
        kappa: As how many images a description counts, > 0.
        rounds: At most, ≥ 1.

    Raises:
        InputError: When one of them is out of range.
    """

    radius: float
    sharpness: float = 20.0
    kappa: float = 5.0
    rounds: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= np.pi / 2 or min(self.sharpness, self.kappa) <= 0 or self.rounds < 1:
            message = f"a trust region of radius {self.radius:g}, sharpness {self.sharpness:g}, κ {self.kappa:g}, {self.rounds} rounds"
            expected = "a radius in [0, π/2], a sharpness and a κ > 0, at least one round"
            raise InputError(message, code="bad_setting", expected=expected)

    def inside(self, wanted: Rows, predicted: Rows) -> Rows:
        """Return the unit rows `(K, D)` of the region around `predicted` that are nearest to `wanted`, unit rows `(K, D)` both."""
        along = np.clip((wanted * predicted).sum(axis=1, keepdims=True), -1, 1)
        angles = np.minimum(np.arccos(along), self.radius)
        across = unit(wanted - along * predicted)
        moved: Rows = np.cos(angles) * predicted + np.sin(angles) * across
        return moved


def refined(predicted: Rows, images: Rows, region: TrustRegion) -> Rows:
    """Return prototypes `(K, D)` at length 1 that have followed unlabelled images.

    Args:
        predicted: From descriptions, at length 1 `(K, D)`.
        images: Embeddings at length 1 `(N, D)`, in any order.
        region: How far, and how.
    """
    prototypes = predicted
    for _ in range(region.rounds if len(images) and region.radius > 0 else 0):
        logits = region.sharpness * (images @ prototypes.T)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        before, wanted = prototypes, unit(region.kappa * predicted + shares.T @ images)
        prototypes = region.inside(wanted, predicted)
        if np.abs(prototypes - before).max() < _STILL:
            break
    return prototypes


def refined_prototypes(method: ZeroShotMethod, semantics: Rows, features: Rows, region: TrustRegion) -> Rows:
    """Return the prototypes `(K, D)` of a fitted method for classes with `semantics (K, A)`, refined on unlabelled `features (N, F)`.

    Raises:
        InputError: When scores of the method are no cosines.
    """
    images, predicted = cosine_sides(method, features, semantics)
    return refined(predicted, images, region)
