"""Methods with a closed form: ridge regression of class means, ESZSL, and the semantic autoencoder.

A grid over their penalties is one decomposition, and one product of matrices for each point: `fit_each`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_means

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgezsl.zsl.method import Rows


@dataclass(slots=True, eq=False)
class PrototypeRidge:
    """The mean image of a class, predicted from what describes it, by ridge regression in dual form.

    As few rows as there are seen classes are regressed, both sides at length 1 and less their means over the seen classes.
    The method is folklore; Changpinyo et al., "Predicting visual exemplars of unseen classes for zero-shot learning",
    ICCV 2017, is the same idea with a support vector machine.

    Attributes:
        penalty: Of the regression, > 0.
        feature_mean_: `(F,)`.
        semantic_mean_: `(A,)`.
        weights_: `(A, F)`.
    """

    penalty: float = 1.0
    feature_mean_: Rows = field(init=False, repr=False)
    semantic_mean_: Rows = field(init=False, repr=False)
    weights_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> PrototypeRidge:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(
        methods: Iterable[PrototypeRidge], features: Rows, labels: NDArray[np.integer], semantics: Rows
    ) -> Iterator[PrototypeRidge]:
        """Fit one after the other as `fit` does, and yield it; what does not depend on the penalty is computed once."""
        classes, means = class_means(unit(features), labels)
        described = unit(semantics[classes].astype(np.float64))
        feature_mean, semantic_mean = means.mean(axis=0), described.mean(axis=0)
        centred, targets = described - semantic_mean, means - feature_mean
        kernel = centred @ centred.T
        for method in methods:
            method.feature_mean_, method.semantic_mean_ = feature_mean, semantic_mean
            method.weights_ = centred.T @ np.linalg.solve(kernel + method.penalty * np.eye(len(classes)), targets)
            yield method

    def embed(self, features: Rows) -> Rows:
        """Return unit embeddings `(N, F)`: features at length 1, less the mean of seen classes."""
        return unit(unit(features) - self.feature_mean_)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the predicted means `(K, F)` at length 1; no bias."""
        return unit((unit(semantics) - self.semantic_mean_) @ self.weights_), np.zeros(len(semantics))


@dataclass(slots=True, eq=False)
class Eszsl:
    """A bilinear compatibility `xᵀ W s` with a closed form.

    `W = (XᵀX + γI)⁻¹ Xᵀ Y S (SᵀS + λI)⁻¹`, Y being 1 for the right class and -1 for the others: Romera-Paredes and Torr, "An
    embarrassingly simple approach to zero-shot learning", ICML 2015, equation 5.

    Attributes:
        gamma: γ > 0, of the side of images.
        lambda_: λ > 0, of the side of classes.
        normalized: Whether features are brought to length 1 first; semantics always are.
        weights_: W `(F, A)`.
    """

    gamma: float = 1.0
    lambda_: float = 1.0
    normalized: bool = True
    weights_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Eszsl:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(
        methods: Iterable[Eszsl], features: Rows, labels: NDArray[np.integer], semantics: Rows
    ) -> Iterator[Eszsl]:
        """Fit one after the other as `fit` does, and yield it; what does not depend on γ and λ is computed once."""
        known: dict[bool, _EszslProducts] = {}
        for method in methods:
            if method.normalized not in known:
                known[method.normalized] = _EszslProducts.of(method.embed(features), labels, semantics)
            products = known[method.normalized]
            spread = np.outer(products.values + method.gamma, products.squares + method.lambda_)
            method.weights_ = products.directions @ (products.core / spread) @ products.axes
            yield method

    def embed(self, features: Rows) -> Rows:
        """Return the features, at length 1 where they are normalised."""
        return unit(features.astype(np.float64)) if self.normalized else features.astype(np.float64)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return `W s (K, F)`; no bias."""
        return unit(semantics) @ self.weights_.T, np.zeros(len(semantics))


@dataclass(frozen=True, slots=True, eq=False)
class _EszslProducts:
    """What is fitted, in the axes of both sides: `XᵀX = U diag(values) Uᵀ` and, where classes reach, `SᵀS = Vᵀ diag(squares) V`.

    Attributes:
        values: `(F,)`.
        directions: U `(F, F)`.
        squares: `(R,)`, R being the smaller one of the numbers of classes and of attributes.
        axes: V `(R, A)`.
        core: `Uᵀ XᵀYS Vᵀ (F, R)`.
    """

    values: Rows
    directions: Rows
    squares: Rows
    axes: Rows
    core: Rows

    @classmethod
    def of(cls, images: Rows, labels: NDArray[np.integer], semantics: Rows) -> _EszslProducts:
        classes, rows = np.unique(labels, return_inverse=True)
        described = unit(semantics[classes].astype(np.float64))
        # X^T Y, without the N x K matrix of signs: twice the sum of a class's rows, less the sum of all.
        sums = np.zeros((len(classes), images.shape[1]))
        np.add.at(sums, rows, images)
        signs = (2 * sums - images.sum(axis=0)).T
        values, directions = np.linalg.eigh(images.T @ images)
        left, lengths, axes = np.linalg.svd(described, full_matrices=False)
        core = directions.T @ signs @ (left * lengths)
        return cls(np.maximum(values, 0), directions, np.square(lengths), axes, core)


@dataclass(slots=True, eq=False)
class Sae:
    """A semantic autoencoder: a linear map into the space of descriptions whose transpose leads back to the image.

    `min ‖X − WᵀS‖² + λ‖WX − S‖²` is solved where `SSᵀ W + λ W XXᵀ = (1 + λ) S Xᵀ`: Kodirov, Xiang and Gong, "Semantic
    autoencoder for zero-shot learning", CVPR 2017, equations 4 to 6. Both squares are symmetric, so that the Sylvester equation
    is solved by their eigenvectors.

    Attributes:
        lambda_: λ > 0.
        weights_: W `(A, F)`.
    """

    lambda_: float = 1.0
    weights_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Sae:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(methods: Iterable[Sae], features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Iterator[Sae]:
        """Fit one after the other as `fit` does, and yield it; what does not depend on λ is computed once."""
        images, described = unit(features.astype(np.float64)), unit(semantics.astype(np.float64))
        classes, counts = np.unique(labels, return_counts=True)
        sums = class_means(images, labels)[1] * counts[:, None]
        known = np.sqrt(counts)[:, None] * described[classes]
        left, lengths, axes = np.linalg.svd(known, full_matrices=False)  # S Sᵀ where descriptions reach
        values, (spread, directions) = np.square(lengths), np.linalg.eigh(images.T @ images)
        right = (left * lengths).T @ (sums / np.sqrt(counts)[:, None]) @ directions
        for method in methods:
            apart = values[:, None] + method.lambda_ * spread
            least = np.finfo(np.float64).eps * (values.max() + method.lambda_ * spread.max())
            method.weights_ = axes.T @ ((1 + method.lambda_) * right / np.maximum(apart, least) @ directions.T)
            yield method

    def embed(self, features: Rows) -> Rows:
        """Return unit embeddings `(N, A)`: `W x`."""
        return unit(unit(features) @ self.weights_.T)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the descriptions `(K, A)` at length 1; no bias."""
        return unit(semantics.astype(np.float64)), np.zeros(len(semantics))
