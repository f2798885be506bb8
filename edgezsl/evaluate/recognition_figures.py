"""How often the best classes of a vocabulary are the right ones: over all images, and class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.intervals import share_interval
from edgezsl.evaluate.metrics import confusion_matrix, macro_f1, mean_average_precision, top_k_accuracy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.evaluate.intervals import Interval

TOP = (1, 5)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A class that was taken for another.

    Attributes:
        own: The class of the images.
        taken: What they were taken for.
        share: Of the images of the class, in [0, 1].
        images: How many.
    """

    own: str
    taken: str
    share: float
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class RecognitionFigures:
    """How well the classes of a vocabulary are told apart.

    Attributes:
        names: Of the vocabulary, K.
        top: The mean over classes of the share of a class's images whose own class is among the best k, by k, in [0, 1].
        right: The share of all images whose best class is their own.
        mean_average_precision: Of every class among all images, in [0, 1].
        macro_f1: The mean over classes of F1, in [0, 1].
        confusion: `(K, K)`, a row for each own class: how many of its images were taken for each class.
    """

    names: tuple[str, ...]
    top: Mapping[int, float]
    right: Interval
    mean_average_precision: float
    macro_f1: float
    confusion: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.floating], labels: NDArray[np.integer], names: Sequence[str]) -> RecognitionFigures:
        """Return the figures of images whose class is in the vocabulary.

        Args:
            scores: `(N, K)`, N ≥ 1.
            labels: `(N,)`, columns of `scores`.
            names: K.
        """
        best = scores.argmax(axis=1)
        return cls(
            tuple(names),
            {k: top_k_accuracy(scores, labels, k) for k in TOP if k == 1 or k < len(names)},
            share_interval(int((best == labels).sum()), len(labels)),
            mean_average_precision(scores, labels),
            macro_f1(best, labels),
            confusion_matrix(best, labels, len(names)),
        )

    @property
    def images(self) -> int:
        """How many images were judged."""
        return int(self.confusion.sum())

    @property
    def per_class(self) -> NDArray[np.float64]:
        """The share of each class's images that is right `(K,)`; NaN where it has none."""
        counts = self.confusion.sum(axis=1)
        shares: NDArray[np.float64] = np.diag(self.confusion) / np.where(counts, counts, np.nan)
        return shares

    def mistakes(self, most: int) -> list[Mistake]:
        """Return the classes that were taken for another most often, by the share of their images, the largest first."""
        counts = self.confusion.sum(axis=1)
        shares = self.confusion / np.maximum(counts, 1)[:, None]
        np.fill_diagonal(shares, 0)
        order = np.argsort(-shares, axis=None, kind="stable")[:most]
        pairs = (np.unravel_index(int(place), shares.shape) for place in order)
        return [
            Mistake(self.names[own], self.names[taken], float(shares[own, taken]), int(self.confusion[own, taken]))
            for own, taken in pairs
            if shares[own, taken] > 0
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as an object; shares in [0, 1]."""
        shares, counts = self.per_class, self.confusion.sum(axis=1)
        return {
            "images": self.images,
            "classes": len(self.names),
            **{f"top{k}": round(value, 6) for k, value in self.top.items()},
            "right": self.right.to_json(),
            "mean_average_precision": round(self.mean_average_precision, 6),
            "macro_f1": round(self.macro_f1, 6),
            "per_class": {
                name: {"images": int(count), "right": round(float(share), 6) if count else None}
                for name, count, share in zip(self.names, counts, shares, strict=True)
            },
            "confusion": self.confusion.tolist(),
        }
