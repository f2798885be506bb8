"""Scores, ranking and the decision: pure functions of embeddings and a class matrix.

What a score, a threshold and a decision mean is said in docs/classes-file.md. Nothing here knows a class's name.

A device runs this between two runs of a network that leaves no cache warm: each numpy call then costs 10 to 40 µs
whatever the size of its arrays. So calls are counted here, and a few classes are ranked without numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace

_FEW_CLASSES = 64  # up to here Python's own sort and exponential are cheaper than numpy's calls
_PICK_ONE_BY_ONE = 8  # of many classes; up to here k passes for the largest score are cheaper than one partition
_SAFE_LOGIT = 60.0  # of the best class: a billion times e to it is finite in float32, and e to less than it normal
_LARGEST_LOGIT = 700.0  # of a sigmoid: e to it is finite


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best classes for one embedding.

    Attributes:
        decision: Row of the class decided on, or None for "none of these".
        top: k rows, best first; equal scores in the order of rows.
        scores: Of these rows.
        probabilities: Of these rows, in [0, 1].
    """

    decision: int | None
    top: tuple[int, ...]
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]


def scores(
    embeddings: NDArray[np.float32], vectors: NDArray[np.float32], offset: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return the score of every class for every embedding: `x·p_k + bias_k - γ·seen_k`.

    Args:
        embeddings: `(N, D)` float32.
        vectors: `(K, D)` float32, the class prototypes.
        offset: `(K,)` float32, `bias - γ·seen`; None where it is 0 for every class.

    Returns:
        `(N, K)` float32.
    """
    # A single row times a transposed matrix takes BLAS's slow path; a matrix times a single column does not.
    products: NDArray[np.float32] = vectors.dot(embeddings[0])[None] if len(embeddings) == 1 else embeddings @ vectors.T
    if offset is not None:
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
    reported, absorbing, available = row, -math.inf, len(row)
    if negative is not None and negative.any():
        reported = np.where(negative, np.float32(-np.inf), row)
        absorbing, available = float(row[negative].max()), len(row) - int(np.count_nonzero(negative))
    top = top_rows(reported, min(k, available))
    best = tuple(row.item(index) for index in top)
    decided = bool(top) and best[0] >= limits.item(top[0]) and not absorbing > best[0]
    shares = probabilities(row, space, best, peak=max((absorbing, *best[:1])))
    return Ranking(top[0] if decided else None, top, best, shares)


def top_rows(row: NDArray[np.float32], k: int) -> tuple[int, ...]:
    """Return the indices of the `k` largest values, largest first; of equal values the smaller index comes first.

    Args:
        row: `(K,)`.
        k: 0 ≤ k ≤ K.
    """
    if len(row) <= _FEW_CLASSES:
        values = row.tolist()
        return tuple(sorted(range(len(values)), key=values.__getitem__, reverse=True)[:k])  # stable, also in reverse
    if k > _PICK_ONE_BY_ONE:
        least = np.partition(row, len(row) - k)[len(row) - k]
        candidates = np.flatnonzero(row >= least)  # in order of index, so that a stable sort settles ties
        return tuple(candidates[np.argsort(-row[candidates], kind="stable")[:k]].tolist())
    left, top = row.copy(), []
    for _ in range(k):
        top.append(int(left.argmax()))  # of equal values the first
        left[top[-1]] = -np.inf
    return tuple(top)


def probabilities(
    row: NDArray[np.float32], space: EmbeddingSpace, wanted: Iterable[float], *, peak: float
) -> tuple[float, ...]:
    """Return the probabilities that belong to the `wanted` scores, by the space's activation over all K classes.

    Args:
        row: `(K,)` float32 scores.
        space: Gives `logit_scale`, `logit_bias` and `activation`.
        wanted: Scores out of the row.
        peak: The largest score of the row.

    Returns:
        For each, its softmax share of the whole row, or its sigmoid.
    """
    scale = space.logit_scale
    if space.activation == "sigmoid":
        logits = (scale * score + space.logit_bias for score in wanted)
        return tuple(1 / (1 + math.exp(-max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, logit)))) for logit in logits)
    base = 0.0 if abs(scale * peak) <= _SAFE_LOGIT else peak  # taking nothing off saves a pass over the row
    if len(row) <= _FEW_CLASSES:
        total = sum([math.exp(scale * (score - base)) for score in row.tolist()])
    else:
        exponentials = np.multiply(row - np.float32(base) if base else row, np.float32(scale))
        np.exp(exponentials, out=exponentials)
        total = float(np.add.reduce(exponentials))  # pairwise, and so exact to 1e-6
    return tuple(min(1.0, math.exp(scale * (score - base)) / total) for score in wanted)  # rounded, it may be above
