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
from edgezsl.zsl.fusion import WeightedFusion
from edgezsl.zsl.generative.ends import MeanPrototypes
from edgezsl.zsl.knowledge.graph_method import GraphMethod, NodeRows
from edgezsl.zsl.robustness.head import RobustHead
from edgezsl.zsl.semantic.bilinear import Bilinear
from edgezsl.zsl.semantic.class_networks import ClassNormalized, Dem
from edgezsl.zsl.semantic.predictors import Conse, Dap, Sync
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class Columns(nn.Module):
    """Some columns of rows.

    Args:
        columns: Which.
    """

    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows[:, self.columns]


class LikeliestSeen(nn.Module):
    """Outputs of a classifier of seen classes to the shares of the T likeliest of them, summing to 1.

    Args:
        top: T.
    """

    def __init__(self, top: int) -> None:
        super().__init__()
        self.top = top

    def forward(self, outputs: Tensor) -> Tensor:
        """Return shares `(N, C)` of `outputs (N, C)`."""
        if self.top >= outputs.shape[1]:
            return outputs.softmax(dim=1)
        least = outputs.topk(self.top, dim=1).values[:, -1:]
        return outputs.masked_fill(outputs < least, -torch.inf).softmax(dim=1)


class AttributesPredicted(nn.Module):
    """Outputs of predictors of attributes to `[log p, log(1 − p)]`."""

    def forward(self, outputs: Tensor) -> Tensor:
        """Return `(N, 2M)` of `outputs (N, M)`."""
        return torch.cat([functional.logsigmoid(outputs), functional.logsigmoid(-outputs)], dim=1)


class AttributesGiven(nn.Module):
    """Descriptions to `[a, 1 − a]` and less the logarithm of the prior.

    Args:
        method: Direct attribute prediction, fitted.
    """

    def __init__(self, method: Dap) -> None:
        super().__init__()
        self.kept = np.flatnonzero(method.kept_).tolist()
        self.means: Tensor
        self.prior: Tensor
        self.register_buffer("means", _tensor(method.means_[method.kept_]))
        self.register_buffer("prior", _tensor(np.log(np.concatenate([method.priors_, 1 - method.priors_]))))

    def forward(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors `(K, 2M)` and biases `(K,)`."""
        shares = semantics / semantics.abs().amax(dim=1, keepdim=True)
        attributes = (shares[:, self.kept] > self.means).to(semantics.dtype)
        vectors = torch.cat([attributes, 1 - attributes], dim=1)
        return vectors, -(vectors @ self.prior)


class Synthesised(nn.Module):
    """Descriptions to classifiers and constants, synthesised from those of phantom classes.

    Args:
        method: SynC, fitted.
    """

    def __init__(self, method: Sync) -> None:
        super().__init__()
        self.width = method.width_
        self.phantoms: Tensor
        self.rows: Tensor
        self.register_buffer("phantoms", _tensor(method.phantoms_))
        self.register_buffer("rows", _tensor(method.rows_))

    def forward(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors `(K, F)` and biases `(K,)` of unit `semantics (K, A)`."""
        distances = 2 - 2 * semantics @ self.phantoms.T  # squared, of rows of length 1
        synthesised = (-distances / self.width).softmax(dim=1) @ self.rows
        return synthesised[:, :-1], synthesised[:, -1]


class Affine(nn.Module):
    """Rows times all but the last row of a matrix, and that row added.

    Args:
        matrix: `(D + 1, E)`.
    """

    def __init__(self, matrix: Rows) -> None:
        super().__init__()
        self.matrix: Tensor
        self.constant: Tensor
        self.register_buffer("matrix", _tensor(matrix[:-1]))
        self.register_buffer("constant", _tensor(matrix[-1]))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows @ self.matrix + self.constant


class Abreast(nn.Module):
    """What several modules make of the same rows, side by side; of those with biases, their weighted sum.

    Args:
        parts: The modules; each gives rows, or rows and biases.
        factors: What each is multiplied by.
        biased: Whether biases are given.
    """

    def __init__(self, parts: Sequence[nn.Module], factors: Sequence[float], *, biased: bool) -> None:
        super().__init__()
        self.parts, self.factors, self.biased = nn.ModuleList(parts), tuple(factors), biased

    def forward(self, rows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return `(N, D)`, and biases `(N,)` where there are any."""
        answers = [part(rows) for part in self.parts]
        pairs = [one if isinstance(one, tuple) else (one, torch.zeros_like(one[:, 0])) for one in answers]
        found = torch.cat([factor * vectors for factor, (vectors, _) in zip(self.factors, pairs, strict=True)], dim=1)
        if not self.biased:
            return found
        return found, torch.stack([factor * bias for factor, (_, bias) in zip(self.factors, pairs, strict=True)]).sum(0)


@singledispatch
def sides_of(method: Method) -> Sides:
    """Return the sides of a fitted method.

    Raises:
        ModelError: When the method does not fold into a matrix of classes.
    """
    raise _no_row(method, type(method).__name__)


def check_folds(method: Method, name: str) -> None:
    """Refuse a method, fitted or not, that `sides_of` refuses, before work is spent on it.

    Args:
        method: The method.
        name: What it is called.

    Raises:
        ModelError: When the method does not fold into a matrix of classes.
    """
    if sides_of.dispatch(type(method)) is sides_of.dispatch(object):
        raise _no_row(method, name)


def _no_row(method: Method, name: str) -> ModelError:
    near = getattr(method, "nearest_folded", "prototype-ridge")
    return ModelError(
        f"{name} gives no row to a class, so that no device can run it",
        code="does_not_fold",
        expected="a method that folds into a matrix of classes",
        hint=f"train {near}, which comes nearest; edgezsl eval --method judges the other all the same",
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


@sides_of.register
def _(method: Conse) -> Sides:
    likeliest = LikeliestSeen(min(method.top, len(method.described_)))
    image = [Unit(), Affine(method.classifier_), likeliest, Product(method.described_), Less(method.centre_), Unit()]
    return Sides(nn.Sequential(*image), nn.Sequential(Unit(), Less(method.centre_), Unit()), "cosine")


@sides_of.register
def _(method: Dap) -> Sides:
    image = nn.Sequential(Unit(), Affine(method.predictors_), AttributesPredicted())
    return Sides(image, AttributesGiven(method), "dot", biased=True)


@sides_of.register
def _(method: Sync) -> Sides:
    return Sides(Unit(), nn.Sequential(Unit(), Synthesised(method)), "dot", biased=True)


@sides_of.register
def _(method: GraphMethod) -> Sides:
    return Sides(Unit(), NodeRows(method), "dot", biased=True)


@sides_of.register
def _(method: WeightedFusion) -> Sides:
    parts = [(member, sides_of(inner), weight) for member, inner, weight in method.kept]
    image = [nn.Sequential(Columns(member.features), sides.image) for member, sides, _ in parts]
    classes = [nn.Sequential(Columns(member.semantics), sides.classes) for member, sides, _ in parts]
    factors = [weight / float(scale) for (_, _, weight), scale in zip(parts, method.scales_, strict=True)]
    biased = any(sides.biased for _, sides, _ in parts)
    joint = Abreast(image, [1.0] * len(image), biased=False)
    return Sides(joint, Abreast(classes, factors, biased=biased), "dot", biased=biased)


@sides_of.register
def _(method: MeanPrototypes) -> Sides:
    embedder, classes = method.generator.embedder_, method.module_
    if method.nearness == "cosine":
        return Sides(nn.Sequential(embedder, Unit()), nn.Sequential(classes, Unit()), "cosine")
    return Sides(embedder, nn.Sequential(classes, Nearest()), "dot", biased=True)


@sides_of.register
def _(method: RobustHead) -> Sides:
    inner = sides_of(method.inner)
    return Sides(nn.Sequential(inner.image, method.head_), inner.classes, inner.similarity, biased=inner.biased)


def _tensor(values: Rows) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
