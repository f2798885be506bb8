"""Fusion that folds: scores of several methods, encoders or kinds of descriptions, averaged with weights.

A member's scores are taken in units of σ, the standard deviation over its training rows and seen classes: a weight means the same
for all, and can be kept when members are fitted again on more classes. Weights are found on classes that are held back, by their
accuracy or, as stacking does, by the likelihood of the right class. What does not fold is in `edgezsl.zsl.voting`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from edgezsl.errors import InputError, Place
from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.zsl.method import ZeroShotMethod, class_scores
from edgezsl.zsl.selection import rows_to_choose_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Method, Rows

SHARES = 10  # of which weights that are chosen by accuracy are made up
_RIDGE = 1e-3  # on weights that are chosen by likelihood: members that agree always have no single best ones
_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One of the methods that are fused, and what it looks at.

    Attributes:
        name: In tables.
        method: Is fitted with the others.
        features: Its columns of the features: those of one encoder.
        semantics: Its columns of the descriptions: those of one kind.
    """

    name: str
    method: Method
    features: slice = field(default_factory=lambda: slice(None))
    semantics: slice = field(default_factory=lambda: slice(None))

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> float:
        """Fit it on its columns, and return σ: the standard deviation of its scores over all these rows and their classes."""
        self.method.fit(features[:, self.features], labels, semantics[:, self.semantics])
        return float(self.scores(features, semantics[np.unique(labels)]).std())

    def scores(self, features: Rows, semantics: Rows) -> Rows:
        """Return its scores `(N, K)`."""
        return class_scores(self.method, features[:, self.features], semantics[:, self.semantics])


@dataclass(slots=True, eq=False)
class WeightedFusion:
    """The weighted sum of members' scores in units of σ: embeddings and rows of the members stand side by side, rows weighted.

    Attributes:
        members: All fold.
        weights: Of each, in any unit; a member with the weight 0 is neither fitted nor embedded by.
        scales_: σ of the members whose weight is not 0 `(M,)`.

    Raises:
        InputError: When a member does not fold, or there is not one weight for each, not all 0.
    """

    members: tuple[Member, ...]
    weights: tuple[float, ...]
    scales_: Rows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for member in self.members:
            if not isinstance(member.method, ZeroShotMethod):
                raise InputError(
                    f"{member.name} does not fold, so that no weighted average with it does",
                    code="does_not_fold",
                    expected="methods whose score is a product of an embedding and a row",
                    hint="leave it out, or vote (`edgezsl.zsl.voting`) where nothing is to be exported",
                )
        if len(self.weights) != len(self.members) or not any(self.weights):
            message = f"there are {len(self.members)} members and the weights {self.weights}"
            raise InputError(message, code="bad_weights", expected="one weight for each member, not all of them 0")

    @property
    def kept(self) -> list[tuple[Member, ZeroShotMethod, float]]:
        """Members whose weight is not 0, with their method and weight."""
        pairs = zip(self.members, self.weights, strict=True)
        return [
            (member, member.method, weight)
            for member, weight in pairs
            if weight and isinstance(member.method, ZeroShotMethod)
        ]

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> WeightedFusion:
        """Fit each member on `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`."""
        self.scales_ = np.array([member.fit(features, labels, semantics) for member, _, _ in self.kept])
        return self

    def embed(self, features: Rows) -> Rows:
        """Return the members' embeddings side by side `(N, D)`."""
        return np.concatenate([method.embed(features[:, member.features]) for member, method, _ in self.kept], axis=1)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return the members' weighted rows side by side `(K, D)` and the weighted sum of their biases `(K,)`."""
        parts = [
            (weight / scale, *method.prototypes(semantics[:, member.semantics]))
            for (member, method, weight), scale in zip(self.kept, self.scales_, strict=True)
        ]
        vectors = np.concatenate([factor * rows for factor, rows, _ in parts], axis=1)
        return vectors, np.sum([factor * bias for factor, _, bias in parts], axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class HeldScores:
    """What each member says of classes that none of them was fitted on.

    Attributes:
        scores: `(M, N, K)` in units of each member's σ.
        targets: `(N,)`, columns of `scores`.
    """

    scores: NDArray[np.float64]
    targets: NDArray[np.int64]

    def accuracy(self, weights: Sequence[float]) -> float:
        """Return T1 of the weighted sum, in [0, 1]."""
        return per_class_accuracy(np.tensordot(weights, self.scores, 1).argmax(axis=1), self.targets)

    def shares(self) -> NDArray[np.float64]:
        """Return weights of the rows `(N,)` by which every class counts as much, summing to 1."""
        counts = np.bincount(self.targets, minlength=self.scores.shape[2])
        return 1 / (counts[self.targets] * np.count_nonzero(counts))


def held_scores(members: Sequence[Member], data: FeatureSet, *, part: str = "val") -> HeldScores:
    """Fit members on the training classes, and return their scores for classes that are held back.

    Args:
        members: Are fitted here.
        data: The feature set, with the columns of all members.
        part: Whose rows choose.

    Raises:
        InputError: When `part` holds rows that are judged.
    """
    features, labels = rows_to_choose_by(data, part)
    classes, targets = np.unique(labels, return_inverse=True)
    fitted = data.of("train")
    scores = []
    for member in members:
        scale = member.fit(*fitted, data.semantics)
        scores.append(member.scores(features, data.semantics[classes]) / scale)
    return HeldScores(np.array(scores), targets)


def accuracy_weights(held: HeldScores) -> tuple[float, ...]:
    """Return the weights with the highest T1 among all that are tenths and sum to 1; of equals the one in their middle."""
    members = len(held.scores)
    found = [np.array(one) for one in product(range(SHARES + 1), repeat=members) if sum(one) == SHARES]
    reached = np.array([held.accuracy(one.tolist()) for one in found])
    best = np.array(found)[reached == reached.max()]
    middle = best[np.square(best - best.mean(axis=0)).sum(axis=1).argmin()]
    return tuple((middle / SHARES).tolist())


def stacking_weights(held: HeldScores) -> tuple[float, ...]:
    """Return the weights by which the right classes are likeliest: linear stacking; they may be negative.

    The meta-learner is logistic regression on the members' scores, of the form in which classes of a row compete and share their
    weights: McFadden, "Conditional logit analysis of qualitative choice behavior", 1973. Stacking: Wolpert, Neural Networks 5, 1992.
    """
    scores, targets = torch.from_numpy(held.scores), torch.from_numpy(held.targets)
    shares = torch.from_numpy(held.shares())
    weights = torch.zeros(len(scores), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        outputs = torch.tensordot(weights, scores, 1)
        found = shares @ torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
        penalised: Tensor = found + _RIDGE * weights.square().sum()
        torch.autograd.backward(penalised)
        return penalised

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch's own annotation
    return tuple(weights.detach().tolist())


def side_by_side(
    sets: Sequence[FeatureSet], *, side: Literal["features", "semantics"]
) -> tuple[FeatureSet, tuple[slice, ...]]:
    """Return one feature set with the columns of several, and which columns are whose.

    Args:
        sets: Of the same rows and classes; the other side is that of the first.
        side: `features`: those of several encoders. `semantics`: several kinds of descriptions.

    Raises:
        InputError: When rows or classes are not the same.
    """
    first = sets[0]
    for other in sets[1:]:
        same = (
            other.class_names == first.class_names
            and np.array_equal(other.labels, first.labels)
            and all(np.array_equal(other.rows[part], rows) for part, rows in first.rows.items())
        )
        if not same:
            raise InputError(
                f"{other.name} has other rows or classes than {first.name}",
                code="bad_features",
                where=Place(other.name),
                expected="the same images in the same order, parted in the same way",
            )
    columns = [getattr(one, side) for one in sets]
    ends = np.cumsum([part.shape[1] for part in columns]).tolist()
    slices = tuple(slice(end - part.shape[1], end) for end, part in zip(ends, columns, strict=True))
    if side == "features":
        return replace(first, features=np.concatenate(columns, axis=1)), slices
    return replace(first, semantics=np.concatenate(columns, axis=1)), slices
