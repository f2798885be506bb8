"""Linear predictors with a convex loss, many at once: what ConSE, DAP and SynC are built of.

The curvature of each loss is bounded, so that one inverse serves every step and every predictor: Böhning and Lindsay,
"Monotonicity of quadratic-approximation algorithms", Annals of the Institute of Statistical Mathematics 40, 1988; Böhning,
"Multinomial logistic regression algorithm", same journal 44, 1992. Steps carry momentum (Nesterov, 1983), which is dropped
where it leads up (O'Donoghue and Candès, "Adaptive restart for accelerated gradient schemes", 2015).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.zsl.method import Rows

Loss = Literal["softmax", "sigmoid", "squared-hinge"]
_CURVATURE: dict[Loss, float] = {"softmax": 0.5, "sigmoid": 0.25, "squared-hinge": 2.0}


def fit_linear(inputs: Rows, targets: Rows, *, loss: Loss, penalty: float, steps: int) -> NDArray[np.float32]:
    """Return the weights W `(F, M)` of the least mean loss of `inputs @ W` with `penalty / 2 · ‖W‖²`.

    Args:
        inputs: `(N, F)`; a constant, where one is wanted, is a column of it.
        targets: `(N, M)`, 1 where a predictor is to say yes, else 0; for `softmax` one of each row is 1.
        loss: Summed over predictors: cross-entropy of their softmax, of each one's sigmoid, or the square of
            `max(0, 1 − y f)` with y 1 or -1.
        penalty: > 0.
        steps: Of the descent.
    """
    rows, wanted = inputs.astype(np.float32), targets.astype(np.float32)
    square = (rows.T @ rows).astype(np.float64) / len(rows)
    inverse = np.linalg.inv(_CURVATURE[loss] * square + penalty * np.eye(len(square))).astype(np.float32)
    weights = np.zeros((rows.shape[1], wanted.shape[1]), np.float32)
    ahead, momentum = weights, 1.0
    for _ in range(steps):
        slope = rows.T @ _slopes(rows @ ahead, wanted, loss) / len(rows) + np.float32(penalty) * ahead
        last, weights = weights, ahead - inverse @ slope
        if np.vdot(slope, weights - last) > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = weights + np.float32((momentum - 1) / following) * (weights - last)
        momentum = following
    return weights


def _slopes(outputs: NDArray[np.float32], targets: NDArray[np.float32], loss: Loss) -> NDArray[np.float32]:
    """Return the derivative of the loss by each output `(N, M)`."""
    if loss == "softmax":
        return softmax(outputs) - targets
    if loss == "sigmoid":
        return np.exp(log_sigmoid(outputs)) - targets
    signs = 2 * targets - 1
    result: NDArray[np.float32] = -2 * signs * np.maximum(0, 1 - signs * outputs)
    return result


def softmax(outputs: Rows) -> Rows:
    """Return what each row's share is `(N, M)`, summing to 1."""
    raised = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    result: Rows = raised / raised.sum(axis=1, keepdims=True)
    return result


def log_sigmoid(outputs: Rows) -> Rows:
    """Return `log (1 / (1 + exp(−outputs)))`, of the shape of `outputs`, without overflow."""
    result: Rows = np.minimum(outputs, 0) - np.log1p(np.exp(-np.abs(outputs)))
    return result


def with_constant(rows: Rows) -> Rows:
    """Return `rows (N, F)` with a last column of 1 `(N, F + 1)`."""
    return np.concatenate([rows, np.ones((len(rows), 1), rows.dtype)], axis=1)
