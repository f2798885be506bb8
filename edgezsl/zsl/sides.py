"""The two sides of a fitted method as PyTorch modules: what is put behind a visual encoder, and what makes rows of classes.

Together they say what the method itself says, so that a device which knows neither computes its scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Literal

from torch import nn

from edgezsl.errors import ModelError
from edgezsl.zsl.fusion import WeightedFusion
from edgezsl.zsl.generative.ends import MeanPrototypes
from edgezsl.zsl.knowledge.graph_method import GraphMethod, NodeRows
from edgezsl.zsl.meta.described import DescribedProtoNet
from edgezsl.zsl.robustness.head import RobustHead
from edgezsl.zsl.semantic.bilinear import Bilinear
from edgezsl.zsl.semantic.class_networks import ClassNormalized, Dem
from edgezsl.zsl.semantic.predictors import Conse, Dap, Sync
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae
from edgezsl.zsl.semantic.whitened import Whitened, Whitening
from edgezsl.zsl.side_modules import (
    Abreast,
    Affine,
    AttributesGiven,
    AttributesPredicted,
    Columns,
    Less,
    LikeliestSeen,
    Nearest,
    Product,
    Synthesised,
    Unit,
)

if TYPE_CHECKING:
    from edgezsl.zsl.method import Method


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
def _(method: DescribedProtoNet) -> Sides:
    image = nn.Sequential(Unit(), Product(method.image_map_))
    return Sides(image, nn.Sequential(Unit(), Product(method.class_map_), Unit(), Nearest()), "dot", biased=True)


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


@sides_of.register
def _(method: Whitened) -> Sides:
    inner = sides_of(method.inner)
    return Sides(nn.Sequential(Whitening(method), inner.image), inner.classes, inner.similarity, biased=inner.biased)
