"""Scores, ranking and the decision: pure functions of embeddings and a class matrix.

What a score, a threshold and a decision mean is said in docs/classes-file.md. Nothing here knows a class's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace

_SORT_ALL = 256  # classes; up to here sorting every score is cheaper than partitioning first


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best classes for one embedding.

    Attributes:
        decision: Row of the class decided on, or None for "none of these".
        top: `(k,)` rows, best first; equal scores in the order of rows.
        scores: `(k,)` float32.
        probabilities: `(k,)` float64 in [0, 1].
    """

    decision: int | None
    top: NDArray[np.intp]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float64]


def scores(
    embeddings: NDArray[np.float32], vectors: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the score of every class for every embedding: `x·p_k + bias_k - γ·seen_k`.

    Args:
        embeddings: `(N, D)` float32.
        vectors: `(K, D)` float32, the class prototypes.
        offset: `(K,)` float32, `bias - γ·seen`.

    Returns:
        `(N, K)` float32.
    """
    # A single row times a transposed matrix takes BLAS's slow path; a matrix times a single column does not.
    products: NDArray[np.float32] = (vectors @ embeddings[0])[None] if len(embeddings) == 1 else embeddings @ vectors.T
    products += offset
    return products


def rank(
    row: NDArray[np.float32],
    space: EmbeddingSpace,
    *,
    limits: NDArray[np.float32],
    negative: NDArray[np.bool_],
    k: int,
) -> Ranking:
    """Return the top classes of one row of scores, and the decision.

    Args:
        row: `(K,)` float32 scores, finite.
        space: Gives scale, bias and activation of the probabilities.
        limits: `(K,)` float32: the least score at which each class may be decided on, `-inf` for none.
        negative: `(K,)` bool: classes that absorb and are never reported.
        k: How many classes to report, ≥ 1; fewer where there are fewer.
    """
    has_negative = bool(negative.any())
    reported = np.where(negative, -np.inf, row) if has_negative else row
    available = len(row) - int(np.count_nonzero(negative))
    top = top_rows(reported, min(k, available))
    decision = None
    if available:
        best = int(top[0])
        absorbed = has_negative and row[negative].max() > row[best]
        decision = best if row[best] >= limits[best] and not absorbed else None
    return Ranking(decision, top, row[top], probabilities(row, space, top))


def top_rows(row: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the indices of the `k` largest values, largest first; of equal values the smaller index comes first.

    Args:
        row: `(K,)`.
        k: 0 ≤ k ≤ K.
    """
    if k == 0:
        return np.empty(0, np.intp)
    if len(row) <= max(_SORT_ALL, k):
        return np.argsort(-row, kind="stable")[:k]
    least = np.partition(row, len(row) - k)[len(row) - k]
    candidates = np.flatnonzero(row >= least)  # in order of index, so that a stable sort settles ties
    return candidates[np.argsort(-row[candidates], kind="stable")[:k]]


def probabilities(row: NDArray[np.float32], space: EmbeddingSpace, wanted: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the probabilities of the `wanted` classes, by the space's activation over all K classes.

    Args:
        row: `(K,)` float32 scores.
        space: Gives `logit_scale`, `logit_bias` and `activation`.
        wanted: `(k,)` indices.

    Returns:
        `(k,)` float64: softmax shares of the whole row, or a sigmoid each.
    """
    if space.activation == "sigmoid":
        logits = space.logit_scale * row[wanted].astype(np.float64) + space.logit_bias
        return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    scale = np.float32(space.logit_scale)
    peak = row.max()
    exponentials = row - peak
    exponentials *= scale
    np.exp(exponentials, out=exponentials)
    shares = np.exp(scale.astype(np.float64) * (row[wanted].astype(np.float64) - peak))
    result: NDArray[np.float64] = shares / exponentials.sum(dtype=np.float64)
    return result
