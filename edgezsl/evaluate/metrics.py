"""Metrics of recognition: how often it is right, and how well it says "none of these". Pure functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRUE_POSITIVE_RATE = 0.95  # of FPR95


def per_class_accuracy(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> float:
    """Return the mean over classes of the share of a class's rows that are right, in [0, 1].

    Xian et al., "Zero-shot learning: a comprehensive evaluation", TPAMI 2018, equation 20.

    Args:
        predicted: `(N,)`.
        labels: `(N,)`, N ≥ 1.
    """
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))


def auroc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """Return the chance that a score from inside the vocabulary is above one from outside; ties count half.

    The area under the ROC curve (Hanley and McNeil, Radiology 143, 1982).

    Args:
        inside: `(N,)`, N ≥ 1: best scores of images whose class is in the vocabulary.
        outside: `(M,)`, M ≥ 1: of images whose class is not.
    """
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, side="left")
    not_above = np.searchsorted(ordered, inside, side="right")
    return float((below + not_above).mean() / (2 * len(outside)))


def fpr95(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """Return the share of outside scores that pass the highest threshold which 95% of the inside ones pass.

    Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples", ICLR 2017.

    Args:
        inside: `(N,)`, N ≥ 1.
        outside: `(M,)`, M ≥ 1.
    """
    passing = int(np.ceil(TRUE_POSITIVE_RATE * len(inside)))
    threshold = np.sort(inside)[len(inside) - passing]
    return float((outside >= threshold).mean())


def own_ranks(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many classes stand before a row's own, by score and then by the order of columns: `(N,)`, 0 is best.

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    ranks: NDArray[np.int64] = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def top_k_accuracy(scores: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> float:
    """Return the mean over classes of the share of a class's rows whose own class is among the `k` best, in [0, 1].

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`, N ≥ 1.
        k: At least 1.
    """
    hits = own_ranks(scores, labels) < k
    return float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def average_precision(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return the area under precision over recall as a sum of steps, one for each score that occurs, in [0, 1].

    Manning, Raghavan and Schütze, "Introduction to information retrieval", 2008, section 8.4; rows of equal score come together.

    Args:
        scores: `(N,)`.
        right: `(N,)`, whether a row is one of those looked for; one at least is.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of rows of equal score
    found = np.cumsum(right[order])[last]
    steps = np.diff(found, prepend=0) / found[-1]
    return float((steps * found / (last + 1)).sum())


def mean_average_precision(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of `average_precision` over the classes that occur: how well each finds its rows among all.

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`, N ≥ 1.
    """
    return float(np.mean([average_precision(scores[:, label], labels == label) for label in np.unique(labels)]))


def confusion_matrix(predicted: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Return how many rows of each class were taken for each class: `(K, K)`, a row for each own class.

    Args:
        predicted: `(N,)`.
        labels: `(N,)`.
        classes: K.
    """
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def macro_f1(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> float:
    """Return the mean over the classes that occur in `labels` of the harmonic mean of precision and recall, in [0, 1].

    Args:
        predicted: `(N,)`.
        labels: `(N,)`, N ≥ 1.
    """
    classes = 1 + int(max(predicted.max(), labels.max()))
    confusion = confusion_matrix(predicted, labels, classes)
    own, taken = confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = own > 0
    return float((2 * np.diag(confusion)[occurs] / (own + taken)[occurs]).mean())
