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
