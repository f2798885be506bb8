"""Scores, ranking and the decision: pure functions of embeddings and a class matrix.

What a score, a threshold and a decision mean is said in docs/classes-file.md. Nothing here knows a class's name.

A device runs this between two runs of a network that leaves no cache warm: each numpy call then costs 10 to 40 µs
whatever the size of its arrays. So calls are counted here, and `reduce` is called rather than its slower method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace

_PICK_ONE_BY_ONE = 8  # classes; up to here k passes for the largest score are cheaper than one partition


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
    products: NDArray[np.float32] = vectors.dot(embeddings[0])[None] if len(embeddings) == 1 else embeddings @ vectors.T
    products += offset
    return products


def rank(
    row: NDArray[np.float32],
    space: EmbeddingSpace,
    *,
    limits: NDArray[np.float32],
    negative: NDArray[np.bool_] | None,
    k: int,
) -> Ranking:
    """Return the top classes of one row of scores, and the decision.

    Args:
        row: `(K,)` float32 scores, finite.
        space: Gives scale, bias and activation of the probabilities.
        limits: `(K,)` float32: the least score at which each class may be decided on, `-inf` for none.
        negative: `(K,)` bool: classes that absorb and are never reported; None where there is none.
        k: How many classes to report, ≥ 1; fewer where there are fewer.
    """
    reported, absorbing, available = row, -np.inf, len(row)
    if negative is not None and negative.any():
        reported = np.where(negative, np.float32(-np.inf), row)
        absorbing, available = row[negative].max(), len(row) - int(np.count_nonzero(negative))
    top = top_rows(reported, min(k, available))
    decision = None
    if available:
        best = int(top[0])
        decision = best if row[best] >= limits[best] and not absorbing > row[best] else None
    return Ranking(decision, top, row[top], probabilities(row, space, top))


def top_rows(row: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the indices of the `k` largest values, largest first; of equal values the smaller index comes first.

    Args:
        row: `(K,)`.
        k: 0 ≤ k ≤ K.
    """
    if k > _PICK_ONE_BY_ONE:
        least = np.partition(row, len(row) - k)[len(row) - k]
        candidates = np.flatnonzero(row >= least)  # in order of index, so that a stable sort settles ties
        return candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    left, top = row.copy(), np.empty(k, np.intp)
    for place in range(k):
        top[place] = left.argmax()  # of equal values the first
        left[top[place]] = -np.inf
    return top


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
    exponentials = row - row[row.argmax()]
    exponentials *= np.float32(space.logit_scale)
    np.exp(exponentials, out=exponentials)
    # The sum is pairwise, and so exact to 1e-6.
    shares: NDArray[np.float64] = exponentials[wanted] / np.float64(np.add.reduce(exponentials))
    return shares
