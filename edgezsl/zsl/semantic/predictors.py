"""Methods that are built of linear predictors: of seen classes (ConSE, SynC) or of attributes (DAP).

Features come in at length 1, beside a constant. A grid whose settings come after the predictors fits these once: `fit_each`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.semantic.linear import fit_linear, log_sigmoid, softmax, with_constant

_SAME = 1e-12  # squared distance below which two descriptions are one

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgezsl.zsl.method import Rows
    from edgezsl.zsl.semantic.linear import Loss


@dataclass(slots=True, eq=False)
class Conse:
    """A convex combination of the descriptions of the likeliest seen classes, compared by cosine.

    Norouzi et al., "Zero-shot learning by convex combination of semantic embeddings", ICLR 2014, equations 3 and 4: the weights are
    the probabilities of the T likeliest classes, brought to the sum 1.

    Attributes:
        top: T ≥ 1; more than there are seen classes are all of them.
        penalty: Of the classifier of seen classes, > 0.
        centred: Whether the mean description of the seen classes is subtracted from all, which the paper does not do: sentence
            vectors lie in a narrow cone, where every cosine is near 1.
        steps: Of its descent.
        classifier_: `(F + 1, C)`, the last row for the constant.
        centre_: What is subtracted `(A,)`; zeros where nothing is.
        described_: The C seen classes at length 1 `(C, A)`.
    """

    top: int = 10
    penalty: float = 1e-4
    centred: bool = False
    steps: int = 50
    classifier_: Rows = field(init=False, repr=False)
    centre_: Rows = field(init=False, repr=False)
    described_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Conse:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(
        methods: Iterable[Conse], features: Rows, labels: NDArray[np.integer], semantics: Rows
    ) -> Iterator[Conse]:
        """Fit one after the other as `fit` does, and yield it; classifiers of one penalty are fitted once."""
        described = unit(semantics[np.unique(labels)].astype(np.float64))
        known: dict[tuple[float, int], Rows] = {}
        for method in methods:
            key = method.penalty, method.steps
            if key not in known:
                known[key] = _class_predictors(features, labels, "softmax", *key)
            centre = described.mean(axis=0) if method.centred else np.zeros(described.shape[1])
            method.classifier_, method.described_, method.centre_ = known[key], described, centre
            yield method

    def embed(self, features: Rows) -> Rows:
        """Return unit embeddings `(N, A)`: the combinations."""
        shares = softmax(with_constant(unit(features)) @ self.classifier_)
        top = min(self.top, shares.shape[1])
        best = np.argpartition(-shares, top - 1, axis=1)[:, :top]
        kept = np.zeros_like(shares)
        np.put_along_axis(kept, best, np.take_along_axis(shares, best, axis=1), axis=1)
        kept /= kept.sum(axis=1, keepdims=True)
        return unit(kept @ self.described_ - self.centre_)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the descriptions `(K, A)` at length 1; no bias."""
        return unit(unit(semantics.astype(np.float64)) - self.centre_), np.zeros(len(semantics))


@dataclass(slots=True, eq=False)
class Sync:
    """Classifiers of unseen classes, synthesised from those of phantom classes that lie where the seen ones do.

    Changpinyo et al., "Synthesized classifiers for zero-shot learning", CVPR 2016, the one-versus-other form: `w_c = Σ_r s_cr v_r`
    (equation 3), `s_cr` being the share of `exp(−‖a_c − b_r‖² / σ²)` (equation 2). With as many phantom classes as seen ones, and
    b_r = a_r, the problem in V (equation 5) is that of the seen classifiers in W, one by one, and `V = S⁻¹ W`.

    Attributes:
        bandwidth: σ² in units of the median of ‖a_c − a_r‖² over pairs of seen classes, > 0.
        penalty: λ of the classifiers, > 0; their loss, the squared hinge, is a mean over rows.
        steps: Of their descent.
        phantoms_: b, `(R, A)` at length 1.
        width_: σ².
        rows_: V `(R, F + 1)`, the last column for the constant.
    """

    bandwidth: float = 1.0
    penalty: float = 1e-4
    steps: int = 50
    phantoms_: Rows = field(init=False, repr=False)
    width_: float = field(init=False, repr=False)
    rows_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Sync:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(
        methods: Iterable[Sync], features: Rows, labels: NDArray[np.integer], semantics: Rows
    ) -> Iterator[Sync]:
        """Fit one after the other as `fit` does, and yield it; classifiers of one penalty are fitted once."""
        phantoms = unit(semantics[np.unique(labels)].astype(np.float64))
        apart = _squared_distances(phantoms, phantoms)
        distances = apart[apart > _SAME]
        usual = float(np.median(distances)) if len(distances) else 1.0
        known: dict[tuple[float, int], Rows] = {}
        for method in methods:
            key = method.penalty, method.steps
            if key not in known:
                known[key] = _class_predictors(features, labels, "squared-hinge", *key)
            method.phantoms_, method.width_ = phantoms, method.bandwidth * usual
            # Classes with the same description have the same row of shares: then the nearest solution, not none.
            method.rows_ = np.linalg.lstsq(method.shares(phantoms), known[key].T, rcond=None)[0]
            yield method

    def shares(self, semantics: Rows) -> Rows:
        """Return s `(K, R)` of classes with unit `semantics (K, A)`: how near each phantom class is, summing to 1."""
        return softmax(-_squared_distances(semantics, self.phantoms_) / self.width_)

    def embed(self, features: Rows) -> Rows:
        """Return the features `(N, F)` at length 1."""
        return unit(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the synthesised classifiers `(K, F)` and their constants `(K,)`."""
        synthesised = self.shares(unit(semantics.astype(np.float64))) @ self.rows_
        return synthesised[:, :-1], synthesised[:, -1]


@dataclass(slots=True, eq=False)
class Dap:
    """Attributes are predicted one by one, and a class is as likely as what is predicted fits it.

    Lampert, Nickisch and Harmeling, "Attribute-based classification for zero-shot visual object categorization", TPAMI 2014,
    equation 2: the product over attributes of `p(a = a_k | x) / p(a = a_k)`, the prior being the share of seen classes that have
    the attribute. Its logarithm folds. A class has an attribute where its value, as a share of the largest one of the class, is above
    the mean of the seen classes: descriptions are given at any length. An attribute that all or none of these have is left out. A
    dimension of a sentence vector is taken for an attribute like any other.

    Attributes:
        penalty: Of the predictors, > 0.
        steps: Of their descent.
        means_: Of the seen classes `(A,)`.
        kept_: Which attributes tell seen classes apart `(A,)`.
        priors_: Of the M attributes that are kept `(M,)`, in (0, 1).
        predictors_: `(F + 1, M)`, the last row for the constant.
    """

    penalty: float = 1e-4
    steps: int = 30
    means_: Rows = field(init=False, repr=False)
    kept_: NDArray[np.bool_] = field(init=False, repr=False)
    priors_: Rows = field(init=False, repr=False)
    predictors_: Rows = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Dap:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        classes, rows = np.unique(labels, return_inverse=True)
        described = _in_shares(semantics[classes])
        self.means_ = described.mean(axis=0)
        self.kept_ = np.ptp(described, axis=0) > 0
        attributes = self.attributes(semantics[classes])
        self.priors_ = attributes.mean(axis=0)
        inputs = with_constant(unit(features))
        self.predictors_ = fit_linear(inputs, attributes[rows], loss="sigmoid", penalty=self.penalty, steps=self.steps)
        return self

    def attributes(self, semantics: Rows) -> Rows:
        """Return which of the M attributes classes with `semantics (K, A)` have: `(K, M)` of 0 and 1."""
        return (_in_shares(semantics) > self.means_)[:, self.kept_].astype(np.float64)

    def embed(self, features: Rows) -> Rows:
        """Return `[log p, log(1 − p)]` of the attributes `(N, 2M)`."""
        outputs = with_constant(unit(features)) @ self.predictors_
        return np.concatenate([log_sigmoid(outputs), log_sigmoid(-outputs)], axis=1)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return `[a, 1 − a] (K, 2M)`, and less the logarithm of the prior of each class's attributes `(K,)`."""
        attributes = self.attributes(semantics)
        vectors = np.concatenate([attributes, 1 - attributes], axis=1)
        return vectors, -(vectors @ np.log(np.concatenate([self.priors_, 1 - self.priors_])))


def _in_shares(semantics: Rows) -> Rows:
    """Return `semantics (K, A)` divided by the largest magnitude of each row; 0 and 1 stay what they are."""
    largest = np.abs(semantics).max(axis=1, keepdims=True)
    result: Rows = semantics / np.maximum(largest, np.finfo(np.float64).tiny)
    return result


def _class_predictors(
    features: Rows, labels: NDArray[np.integer], loss: Loss, penalty: float, steps: int
) -> NDArray[np.float32]:
    """Return predictors of the classes that occur `(F + 1, C)`, of features at length 1 and a constant."""
    classes, rows = np.unique(labels, return_inverse=True)
    return fit_linear(
        with_constant(unit(features)), np.eye(len(classes))[rows], loss=loss, penalty=penalty, steps=steps
    )


def _squared_distances(left: Rows, right: Rows) -> Rows:
    squares = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2 * left @ right.T
    result: Rows = np.maximum(squares, 0)
    return result
