"""What zero-shot methods have in common, in scikit-learn's manner.

A method is fitted on features of seen classes and on their semantic embeddings. From then on an image is an embedding, a class is a
row, and a score is their product: on the workstation, and on a device that never learns which method it was. A few methods of the
literature cannot be written like that; they are here to be compared with, and no device runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from edgezsl.errors import InputError
from edgezsl.evaluate.metrics import per_class_accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.floating]

_TOLERANCE = 1e-4  # on a length of 1


@runtime_checkable
class ZeroShotMethod(Protocol):
    """A method that folds into a matrix."""

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> ZeroShotMethod:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; return itself."""

    def embed(self, features: Rows) -> Rows:
        """Return the embeddings `(N, D)` of `features (N, F)`: what goes into the exported image encoder."""

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return vectors `(K, D)` and bias `(K,)` of classes with `semantics (K, A)`: what goes into a class pack."""


@runtime_checkable
class UnfoldedMethod(Protocol):
    """A method whose scores are no product of an embedding and a row, so that it cannot be exported."""

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> UnfoldedMethod:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; return itself."""

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return the scores `(N, K)` of `features (N, F)` for classes with `semantics (K, A)`."""


Method: TypeAlias = ZeroShotMethod | UnfoldedMethod


def class_scores(method: Method, features: Rows, semantics: Rows) -> Rows:
    """Return the scores `(N, K)` of `features (N, F)` for classes with `semantics (K, A)`."""
    if isinstance(method, UnfoldedMethod):
        return method.scores(features, semantics)
    vectors, bias = method.prototypes(semantics)
    return np.asarray(method.embed(features) @ vectors.T + bias)


def cosine_sides(method: ZeroShotMethod, features: Rows, semantics: Rows) -> tuple[Rows, Rows]:
    """Return the embeddings `(N, D)` of `features (N, F)` and the prototypes `(K, D)` of `semantics (K, A)`, all of length 1.

    Raises:
        InputError: When one of them has another length, or there is a bias: then prototypes do not lie where embeddings do.
    """
    rows = method.embed(features)
    vectors, bias = method.prototypes(semantics)
    lengths = np.linalg.norm(np.concatenate([rows, vectors]), axis=1)
    if np.any(bias) or np.abs(lengths - 1).max() > _TOLERANCE:
        raise InputError(
            f"scores of {type(method).__name__} are no cosines",
            code="no_cosine",
            expected="embeddings and prototypes of length 1, without bias",
            hint="prototype-ridge and cn-zsl have them",
        )
    return rows, vectors


def accuracy(method: Method, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> float:
    """Return the mean over classes of top-1 accuracy among the classes that occur in `labels`, in [0, 1] (T1).

    Args:
        method: Fitted.
        features: `(N, F)`.
        labels: `(N,)`, rows of `semantics`.
        semantics: `(C, A)`.
    """
    classes = np.unique(labels)
    best = class_scores(method, features, semantics[classes]).argmax(axis=1)
    return per_class_accuracy(classes[best], labels)


def class_means(features: Rows, labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], Rows]:
    """Return the classes that occur `(K,)`, ascending, and the mean features of each `(K, F)`."""
    classes, rows = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), features.shape[1]))
    np.add.at(sums, rows, features)
    return classes.astype(np.int64), sums / np.bincount(rows)[:, None]
