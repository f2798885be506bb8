"""Several embeddings as one row: the frames of a clip, the items that somebody liked.

A clip or a user is then scored like an image, by one product with the matrix of classes or of items. What the order of the
parts says is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pooling = Literal["mean", "attention"]

SHARPNESS = 10.0  # of attention: how much less a part counts that points elsewhere


def pooled(
    parts: NDArray[np.floating], groups: NDArray[np.integer], *, how: Pooling = "mean", sharpness: float = SHARPNESS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the groups that occur `(G,)`, ascending, and one unit row for each `(G, D)`.

    Attention is scaled dot-product attention (Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1) with nothing
    learned: the question is the mean of the group, keys and values are its parts at length 1, so that a part unlike the
    others, such as a cut to something else, counts less.

    Args:
        parts: `(N, D)`: embeddings of frames or items; their length does not count.
        groups: `(N,)`: the clip or user of each.
        how: `mean`, or `attention`.
        sharpness: Of attention; 0 is the mean.

    Raises:
        InputError: When parts and groups differ in number, or a group's parts cancel each other out.
    """
    if len(parts) != len(groups) or not len(parts):
        message = f"there are {len(parts)} parts and {len(groups)} groups"
        raise InputError(message, code="bad_features", expected="one group for each part, and at least one part")
    directions = unit(parts.astype(np.float64))
    names, index = np.unique(groups, return_inverse=True)
    rows = _weighted(directions, np.ones(len(parts)), index)
    if how == "attention":
        agreement = np.einsum("nd,nd->n", directions, unit(rows)[index])
        rows = _weighted(directions, np.exp(sharpness * (agreement - 1)), index)
    lost = np.flatnonzero(np.linalg.norm(rows, axis=1) <= np.finfo(np.float32).eps)
    if len(lost):
        message = f"the parts of the group {names[lost[0]]} have no direction in common"
        raise InputError(message, code="no_direction", hint="leave the group out")
    return names.astype(np.int64), unit(rows).astype(np.float32)


def _weighted(
    directions: NDArray[np.float64], weights: NDArray[np.float64], index: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the weighted mean of each group's directions."""
    sums = np.zeros((index.max() + 1, directions.shape[1]))
    np.add.at(sums, index, weights[:, None] * directions)
    result: NDArray[np.float64] = sums / np.bincount(index, weights)[:, None]
    return result
