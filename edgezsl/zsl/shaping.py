"""Classifier rows turned towards where pictures lie.

A classifier's row points where its class differs from the others, not where its pictures lie. Rows are turned to the
latter by a power of the covariance of features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shaping(features: NDArray[np.floating], power: float) -> NDArray[np.float64]:
    """Return `(C / mean eigenvalue + 1)^power`, `(F, F)`, C the covariance of `features (N, F)`.

    Args:
        features: Of pictures.
        power: 0 gives the identity, which leaves rows as they are; 0.5 turns them half the way.
    """
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    scaled = (np.maximum(values, 0) / values.mean() + 1) ** power
    result: NDArray[np.float64] = (vectors * scaled) @ vectors.T
    return result
