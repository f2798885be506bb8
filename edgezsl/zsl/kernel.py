"""Kernel ridge regression between unit vectors, with a weight for each anchor.

Saunders, Gammerman and Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class KernelRidge:
    """From unit vectors `(N, A)` to targets `(N, D)`, kernel `exp(sharpness (cos - 1))`.

    Attributes:
        anchors: `(M, A)` unit rows.
        coefficients: `(M, D)`.
        sharpness: γ.
    """

    anchors: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    sharpness: float

    @classmethod
    def fit(
        cls,
        anchors: NDArray[np.floating],
        targets: NDArray[np.floating],
        *,
        sharpness: float,
        penalty: float = 0.1,
        weights: NDArray[np.floating] | None = None,
    ) -> KernelRidge:
        """Fit on unit `anchors (M, A)` and `targets (M, D)`; an anchor of weight w counts w times as much."""
        points = anchors.astype(np.float64)
        ridge = penalty / (np.ones(len(points)) if weights is None else weights)
        kernel = np.exp(sharpness * (points @ points.T - 1)) + np.diag(ridge)
        return cls(points, np.linalg.solve(kernel, targets.astype(np.float64)), sharpness)

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return `(N, D)` for unit `vectors (N, A)`."""
        result: NDArray[np.float64] = np.exp(self.sharpness * (vectors @ self.anchors.T - 1)) @ self.coefficients
        return result


def unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    result: NDArray[np.float64] = rows / np.maximum(lengths, np.finfo(np.float64).tiny)
    return result
