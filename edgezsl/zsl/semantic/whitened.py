"""Whitening within classes: directions in which images of one class differ count for less."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, tee
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_means
from edgezsl.zsl.semantic.ridge import PrototypeRidge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows


@dataclass(slots=True, eq=False)
class Whitened:
    """Prototype-ridge behind a whitening of features within classes.

    `z = (C / c + shrinkage)^(-1/2) φ(x)`, C being the covariance of the rows of a class around its mean, over all seen classes, c the
    mean of its eigenvalues, and `φ(x) = sign(x) |x|^power` at length 1. Within-class covariance
    normalisation: Hatch, Kajarekar and Stolcke, "Within-class covariance normalization for SVM-based speaker recognition", Interspeech
    2006; power normalisation: Perronnin, Sánchez and Mensink, "Improving the Fisher kernel for large-scale image classification", ECCV 2010.

    Attributes:
        inner: The regression; not yet fitted.
        shrinkage: > 0: how much every direction counts beside what was measured.
        power: > 0: 1 leaves features as they are, 0.5 takes their roots.
        map_: `(F, F)`, symmetric.
    """

    inner: PrototypeRidge
    shrinkage: float = 10.0
    power: float = 1.0
    map_: Rows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.shrinkage <= 0 or self.power <= 0:
            message = f"shrinkage is {self.shrinkage}, power {self.power}"
            raise InputError(message, code="bad_setting", expected="both > 0")

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> Whitened:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        return next(self.fit_each([self], features, labels, semantics))

    @staticmethod
    def fit_each(
        methods: Iterable[Whitened], features: Rows, labels: NDArray[np.integer], semantics: Rows
    ) -> Iterator[Whitened]:
        """Fit one after the other as `fit` does, and yield it; a whitening is computed once for all that share it."""
        known: dict[float, tuple[Rows, Rows]] = {}
        for (power, shrinkage), alike in groupby(methods, lambda one: (one.power, one.shrinkage)):
            if power not in known:
                known[power] = _axes(_powered(features, power), labels)
            values, directions = known[power]
            matrix = (directions * (values + shrinkage) ** -0.5) @ directions.T
            inner, outer = tee(alike)
            rows = _powered(features, power) @ matrix
            fitted = PrototypeRidge.fit_each((one.inner for one in inner), rows, labels, semantics)
            for _, method in zip(
                fitted, outer, strict=False
            ):  # the inner ones first: the next is asked for when the last was tried
                method.map_ = matrix
                yield method

    def whitened(self, features: Rows) -> Rows:
        """Return z `(N, F)` of `features (N, F)`."""
        result: Rows = _powered(features, self.power) @ self.map_
        return result

    def embed(self, features: Rows) -> Rows:
        """Return unit embeddings `(N, F)` of the whitened features."""
        return self.inner.embed(self.whitened(features))

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return those of the regression `(K, F)` and `(K,)`."""
        return self.inner.prototypes(semantics)


class Whitening(nn.Module):
    """Features `(N, F)` to whitened ones `(N, F)`.

    Args:
        method: Fitted.
    """

    def __init__(self, method: Whitened) -> None:
        super().__init__()
        self.power = method.power
        self.map: Tensor
        self.register_buffer("map", torch.from_numpy(np.ascontiguousarray(method.map_, np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        """Return z `(N, F)`."""
        rows = features if self.power == 1.0 else features.sign() * features.abs() ** self.power
        result: Tensor = functional.normalize(rows, dim=1) @ self.map
        return result


def whitened_ridge(*, shrinkage: float = 10.0, power: float = 1.0, penalty: float = 1.0) -> Whitened:
    """Return prototype-ridge on whitened features, not yet fitted."""
    return Whitened(PrototypeRidge(penalty), shrinkage, power)


def _powered(features: Rows, power: float) -> Rows:
    rows = features.astype(np.float64)
    return unit(rows if power == 1.0 else np.sign(rows) * np.abs(rows) ** power)


def _axes(rows: Rows, labels: NDArray[np.integer]) -> tuple[Rows, Rows]:
    """Return the covariance within classes as its eigenvalues `(F,)`, their mean being 1, and its directions `(F, F)`."""
    classes, means = class_means(rows, labels)
    apart = rows - means[np.searchsorted(classes, labels)]
    values, directions = np.linalg.eigh(apart.T @ apart / len(rows))
    return np.maximum(values, 0) / max(float(values.mean()), np.finfo(np.float64).tiny), directions
