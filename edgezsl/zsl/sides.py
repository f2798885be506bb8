"""The two sides of a fitted method as PyTorch modules: what is put behind a visual encoder, and what makes rows of classes.

Together they say what the method itself says, so that a device which knows neither computes its scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.errors import ModelError
from edgezsl.zsl.semantic.bilinear import Bilinear
from edgezsl.zsl.semantic.class_networks import ClassNormalized, Dem
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae

if TYPE_CHECKING:
    from torch import Tensor

    from edgezsl.zsl.method import Method, Rows

_SHORTEST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """A method, taken apart.

    Attributes:
        image: Features `(N, F)` to embeddings `(N, D)`.
        classes: Semantic embeddings `(K, A)` to vectors `(K, D)`, or to vectors and biases `(K,)` where `biased`.
        similarity: `cosine` where embeddings and vectors have length 1, else `dot`.
        biased: Whether a class has a bias.
    """

    image: nn.Module
    classes: nn.Module
    similarity: Literal["cosine", "dot"]
    biased: bool = False


class Unit(nn.Module):
    """Rows at length 1."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return `rows (N, D)` divided by their lengths."""
        return functional.normalize(rows, dim=1, eps=_SHORTEST)


class Less(nn.Module):
    """Rows less a mean.

    Args:
        mean: `(D,)`.
    """

    def __init__(self, mean: Rows) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", _tensor(mean))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `rows (N, D)` less the mean."""
        return rows - self.mean


class Product(nn.Module):
    """Rows times a matrix.

    Args:
        matrix: `(D, E)`.
    """

    def __init__(self, matrix: Rows) -> None:
        super().__init__()
        self.matrix: Tensor
        self.register_buffer("matrix", _tensor(matrix))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows @ self.matrix


class Nearest(nn.Module):
    """Rows, and a bias by which the greatest product is that of the nearest row: `−‖μ‖²/2`."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return `rows (K, D)` and biases `(K,)`."""
        return rows, -rows.square().sum(dim=1) / 2


@singledispatch
def sides_of(method: Method) -> Sides:
    """Return the sides of a fitted method.

    Raises:
        ModelError: When the method does not fold into a matrix of classes.
    """
    near = getattr(method, "nearest_folded", "prototype-ridge")
    raise ModelError(
        f"{type(method).__name__} gives no row to a class, so that no device can run it",
        code="does_not_fold",
        expected="a method that folds into a matrix of classes",
        hint=f"train {near}, which comes nearest",
    )


@sides_of.register
def _(method: PrototypeRidge) -> Sides:
    described = nn.Sequential(Unit(), Less(method.semantic_mean_), Product(method.weights_), Unit())
    return Sides(nn.Sequential(Unit(), Less(method.feature_mean_), Unit()), described, "cosine")


@sides_of.register
def _(method: Eszsl) -> Sides:
    image: nn.Module = Unit() if method.normalized else nn.Identity()
    return Sides(image, nn.Sequential(Unit(), Product(method.weights_.T)), "dot")


@sides_of.register
def _(method: Sae) -> Sides:
    return Sides(nn.Sequential(Unit(), Product(method.weights_.T), Unit()), Unit(), "cosine")


@sides_of.register
def _(method: Bilinear) -> Sides:
    return Sides(Unit(), nn.Sequential(Unit(), Product(method.weights_.T)), "dot")


@sides_of.register
def _(method: Dem) -> Sides:
    return Sides(Unit(), nn.Sequential(Unit(), method.network_, Nearest()), "dot", biased=True)


@sides_of.register
def _(method: ClassNormalized) -> Sides:
    return Sides(Unit(), nn.Sequential(Unit(), method.network_, Unit()), "cosine")


def _tensor(values: Rows) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
