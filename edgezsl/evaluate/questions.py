"""The hard questions of zero-shot learning, measured: the semantic gap, hubs, how much training helps, and how near a class must be.

Whatever is fitted here is fitted by whoever asks: a method comes in as a callable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.evaluate.intervals import bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.evaluate.intervals import Interval

_TINY = float(np.finfo(np.float64).tiny)
_RESAMPLES_OF_PAIRS = 500  # each ranks all pairs of classes
_FEWEST_PAIRS = 3  # a correlation of two is always 1 or -1


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the rank correlation of two arrays `(N,)` in [-1, 1]; NaN where one of them is constant, or N < 3.

    Spearman, "The proof and measurement of association between two things", American Journal of Psychology 15, 1904; equal
    values share their mean rank.
    """
    if len(first) < _FEWEST_PAIRS:
        return float("nan")
    centred = [ranks - ranks.mean() for ranks in (_ranks(first), _ranks(second))]
    lengths = [float(np.sqrt((one**2).sum())) for one in centred]
    return float(centred[0] @ centred[1]) / (lengths[0] * lengths[1]) if min(lengths) > 0 else float("nan")


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return ranks


def class_similarity(rows: NDArray[np.floating], centre: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Return the cosines `(K, K)` of `rows (K, D)` after `centre (D,)` is taken off them.

    What all classes have in common tells no two of them apart, and pushes every cosine towards 1.

    Args:
        rows: One for each class.
        centre: What is taken off; None takes the mean of the rows.
    """
    shifted = rows.astype(np.float64) - (rows.mean(axis=0) if centre is None else centre)
    lengths = np.linalg.norm(shifted, axis=1, keepdims=True)
    scaled = shifted / np.maximum(lengths, _TINY)
    similarity: NDArray[np.float64] = scaled @ scaled.T
    return similarity


@dataclass(frozen=True, slots=True, eq=False)
class SemanticGap:
    """Whether classes that look alike are described alike: over all pairs of classes.

    Attributes:
        visual: Cosine of the mean features of each pair `(P,)`.
        semantic: Cosine of the descriptions of each pair `(P,)`.
        correlation: Spearman's, with its interval over classes that are drawn again: pairs are not independent.
    """

    visual: NDArray[np.float64]
    semantic: NDArray[np.float64]
    correlation: Interval

    @classmethod
    def of(cls, means: NDArray[np.floating], semantics: NDArray[np.floating]) -> SemanticGap:
        """Return the gap between the mean features `(K, F)` of classes and their `semantics (K, A)`, K ≥ 3."""
        both = class_similarity(means), class_similarity(semantics)
        upper = np.triu_indices(len(means), 1)

        def correlation(rows: NDArray[np.int64]) -> float:
            first, second = rows[upper[0]], rows[upper[1]]
            apart = first != second  # a class that was drawn twice is no pair
            return spearman(*(one[first[apart], second[apart]] for one in both))

        return cls(
            both[0][upper], both[1][upper], bootstrap_interval(correlation, len(means), resamples=_RESAMPLES_OF_PAIRS)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the correlation as an object."""
        return {"pairs": len(self.visual), "spearman": self.correlation.to_json()}


@dataclass(frozen=True, slots=True, eq=False)
class Hubness:
    """Whether a few classes are among the best of most images, whatever these show.

    Radovanović, Nanopoulos and Ivanović, "Hubs in space: popular nearest neighbors in high-dimensional data", JMLR 11, 2010,
    section 2.2; for class prototypes Shigeto et al., "Ridge regression, hubness, and zero-shot learning", ECML PKDD 2015.

    Attributes:
        names: Of the classes, K.
        occurrences: N_k `(K,)`: among the k best classes of how many images each class is.
        expected: What each class would have if all had equally many.
        k: How many best classes count.
        skewness: Of N_k: 0 without hubs, and the larger the more of them.
    """

    names: tuple[str, ...]
    occurrences: NDArray[np.int64]
    expected: float
    k: int
    skewness: float

    @classmethod
    def of(cls, scores: NDArray[np.floating], names: Sequence[str], *, k: int) -> Hubness:
        """Return the hubness of the classes of `scores (N, K)`; images of every class are equally many, or nearly."""
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        occurrences = np.bincount(best.ravel(), minlength=scores.shape[1])
        return cls(tuple(names), occurrences, len(scores) * best.shape[1] / scores.shape[1], k, skewness(occurrences))

    def to_json(self) -> dict[str, Any]:
        """Return the hubness as an object."""
        found = zip(self.names, self.occurrences.tolist(), strict=True)
        return {"k": self.k, "skewness": round(self.skewness, 6), "occurrences": dict(found)}


def skewness(values: NDArray[np.integer]) -> float:
    """Return the third central moment of `values (K,)` over the cube of their standard deviation; 0 where all are equal."""
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread else 0.0


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """What a method reaches with a part of the rows.

    Attributes:
        kind: Whether it was fitted on fewer classes, or on fewer images of each, or shown examples of unseen classes.
        count: Of seen classes, of images of each, or of examples of each unseen class.
        draw: Which random choice of them.
        accuracy: On unseen classes, in [0, 1].
    """

    kind: Literal["classes", "images", "examples"]
    count: int
    draw: int
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        return {"kind": self.kind, "count": self.count, "draw": self.draw, "accuracy": round(self.accuracy, 6)}


def measured_growth(
    accuracy_of: Callable[[NDArray[np.int64]], float],
    labels: NDArray[np.integer],
    *,
    classes: Sequence[int],
    images: Sequence[int],
    draws: int,
) -> Iterator[GrowthPoint]:
    """Yield accuracy against the number of seen classes, and against the number of images of each class.

    In one draw a larger choice contains the smaller ones. A class with fewer images than asked for gives all it has.

    Args:
        accuracy_of: Fits on rows `(n,)` of those that `labels` are of, and returns the accuracy on unseen classes.
        labels: `(N,)` of the rows that may be fitted on.
        classes: Numbers of seen classes.
        images: Numbers of images of each class.
        draws: How often classes or images are drawn; from draw to draw others.

    Yields:
        The points.
    """
    known = np.unique(labels)
    for draw in range(draws):
        random = np.random.default_rng(draw)
        order = random.permutation(known)
        place = _place_in_class(labels, random)
        for count in classes:
            rows = np.flatnonzero(np.isin(labels, order[:count]))
            yield GrowthPoint("classes", count, draw, accuracy_of(rows))
        for count in images:
            yield GrowthPoint("images", count, draw, accuracy_of(np.flatnonzero(place < count)))


def _place_in_class(labels: NDArray[np.integer], random: np.random.Generator) -> NDArray[np.int64]:
    """Return for each row how many of its class come before it in a random order `(N,)`."""
    order = random.permutation(len(labels))
    grouped = order[np.argsort(labels[order], kind="stable")]
    starts = np.searchsorted(labels[grouped], labels[grouped], side="left")
    place = np.empty(len(labels), np.int64)
    place[grouped] = np.arange(len(labels)) - starts
    return place


@dataclass(frozen=True, slots=True, eq=False)
class Nearness:
    """Whether an unseen class is recognised the better the more a seen one is described like it.

    Attributes:
        names: Of the unseen classes, K.
        nearest: The seen class that is described most like each.
        similarity: Cosine of both descriptions `(K,)`, less the mean of seen classes.
        accuracy: The share of each class's images that is right `(K,)`; NaN where it has none.
        correlation: Spearman's, with its interval over classes that are drawn again.
    """

    names: tuple[str, ...]
    nearest: tuple[str, ...]
    similarity: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    correlation: Interval

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        semantics: NDArray[np.floating],
        seen: NDArray[np.bool_],
        accuracy: NDArray[np.float64],
    ) -> Nearness:
        """Return the nearness of the unseen classes among all.

        Args:
            names: Of all classes, C.
            semantics: `(C, A)`.
            seen: `(C,)`, whether a class was fitted on; both kinds occur.
            accuracy: `(C - seen,)`, of the unseen classes in their order.
        """
        similarity = class_similarity(semantics, semantics[seen].mean(axis=0))[~seen][:, seen]
        best, known = similarity.max(axis=1), np.isfinite(accuracy)
        kept_best, kept_accuracy = best[known], accuracy[known]
        correlation = bootstrap_interval(lambda rows: spearman(kept_best[rows], kept_accuracy[rows]), int(known.sum()))
        of_seen = [name for name, one in zip(names, seen, strict=True) if one]
        return cls(
            tuple(name for name, one in zip(names, seen, strict=True) if not one),
            tuple(of_seen[column] for column in similarity.argmax(axis=1)),
            best,
            accuracy,
            correlation,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the correlation, and each class, as an object."""
        rows = zip(self.names, self.nearest, self.similarity.tolist(), self.accuracy.tolist(), strict=True)
        return {
            "spearman": self.correlation.to_json(),
            "classes": {
                name: {"nearest_seen": nearest, "similarity": round(similarity, 6), "right": round(right, 6)}
                for name, nearest, similarity, right in rows
                if right == right  # noqa: PLR0124  # NaN where a class has no image
            },
        }
