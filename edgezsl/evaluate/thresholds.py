"""Thresholds of classes, and "none of these": found on some images, judged on others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.metrics import auroc, fpr95

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FALSE_ACCEPTS = 0.05  # of images whose class is not in the vocabulary, that one threshold for all classes allows
CLASS_FALSE_ACCEPTS = 0.01  # of images of other classes, that the threshold of a class allows
_ROUNDING = 1e-9  # 0.29 of 100 images are 29


def threshold_of_false_accepts(others: NDArray[np.floating], share: float) -> float:
    """Return the lowest threshold that at most a share of scores pass; minus infinity where none is needed.

    Args:
        others: `(M,)`: scores of what should not be decided on.
        share: In [0, 1], of them, that may pass.
    """
    passing = int(share * len(others) + _ROUNDING)
    highest = np.sort(others)[::-1]
    if passing >= len(others) or np.isneginf(highest[passing]):
        return -np.inf
    return float(np.nextafter(highest[passing], np.inf, dtype=others.dtype))


def thresholds_of_false_accepts(
    scores: NDArray[np.floating], labels: NDArray[np.integer], share: float
) -> NDArray[np.float64]:
    """Return for each class the lowest threshold by which at most a share of other rows are decided as it.

    A class is decided on where its score is the best and not below its threshold.

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`; -1 where a row's class is not among them.
        share: In [0, 1], of the rows of other classes.

    Returns:
        `(K,)`; NaN where a class needs none.
    """
    best, peak = scores.argmax(axis=1), scores.max(axis=1)
    found = np.full(scores.shape[1], np.nan)
    for column in range(scores.shape[1]):
        others = labels != column
        taken = np.where(best[others] == column, peak[others], -np.inf)  # what another class wins is no false accept
        threshold = threshold_of_false_accepts(taken, share)
        if np.isfinite(threshold):
            found[column] = threshold
    return found


def thresholds_of_best_f1(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return for each class the threshold of its highest F1, of equal ones the lowest: half-way to the next score below.

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`; -1 where a row's class is not among them.

    Returns:
        `(K,)`; NaN where a class needs none, or no row of its own is decided as it.
    """
    best, peak = scores.argmax(axis=1), scores.max(axis=1)
    found = np.full(scores.shape[1], np.nan)
    for column in range(scores.shape[1]):
        taken = np.flatnonzero(best == column)
        order = taken[np.argsort(-peak[taken], kind="stable")]
        right = np.cumsum(labels[order] == column)
        if not len(order) or not right[-1]:
            continue
        f1 = 2 * right / (np.arange(1, len(order) + 1) + (labels == column).sum())
        f1[:-1][np.diff(peak[order]) == 0] = 0.0  # no threshold lies between equal scores
        last = len(order) - 1 - int(f1[::-1].argmax())
        if last + 1 < len(order):
            found[column] = (float(peak[order[last]]) + float(peak[order[last + 1]])) / 2
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Rejection:
    """How well "none of these" is said of images whose class is not in the vocabulary.

    Attributes:
        left_out: The classes that are not in it.
        inside: `(N,)`: best scores of images whose class is in it.
        outside: `(M,)`: of images whose class is not.
        threshold: What lets at most `FALSE_ACCEPTS` of outside images pass, by other images than are counted here, or None.
        passing: The shares of inside and of outside images that pass it; None without one.
    """

    left_out: tuple[str, ...]
    inside: NDArray[np.floating]
    outside: NDArray[np.floating]
    threshold: float | None = None
    passing: tuple[float, float] | None = None

    def with_threshold(
        self, threshold: float, inside: NDArray[np.floating], outside: NDArray[np.floating]
    ) -> Rejection:
        """Return it with a threshold, and what passes that of images `inside (n,)` and `outside (m,)` it was not found on."""
        passing = float((inside >= threshold).mean()), float((outside >= threshold).mean())
        return replace(self, threshold=threshold, passing=passing)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as an object."""
        passing = self.passing
        return {
            "left_out": list(self.left_out),
            "images": [len(self.inside), len(self.outside)],
            "auroc": round(auroc(self.inside, self.outside), 6),
            "fpr95": round(fpr95(self.inside, self.outside), 6),
            "threshold": self.threshold,
            "false_accepts_allowed": FALSE_ACCEPTS,
            "passing": None if passing is None else [round(share, 6) for share in passing],
        }


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided with thresholds, as shares in [0, 1].

    Attributes:
        right: Of images whose class is in the vocabulary: decided as their class.
        wrong: Of them: decided as another.
        accepted: Of images whose class is not: decided as any; None where there are none.
    """

    right: float
    wrong: float
    accepted: float | None

    @classmethod
    def of(cls, scores: NDArray[np.floating], labels: NDArray[np.integer], limits: NDArray[np.floating]) -> Decisions:
        """Return what is decided of `scores (N, K)`.

        Args:
            scores: `(N, K)`.
            labels: `(N,)`, columns of `scores`; -1 where a row's class is not among them.
            limits: `(K,)`: the least score at which each class is decided on; NaN where it has none.
        """
        best = scores.argmax(axis=1)
        lowest = np.where(np.isnan(limits), -np.inf, limits)
        decided, inside = scores.max(axis=1) >= lowest[best], labels >= 0
        right = float((decided & (best == labels))[inside].mean())
        wrong = float((decided & (best != labels))[inside].mean())
        return cls(right, wrong, float(decided[~inside].mean()) if (~inside).any() else None)

    def to_json(self) -> dict[str, float | None]:
        """Return the shares as an object."""
        shares = {name: getattr(self, name) for name in ("right", "wrong", "accepted")}
        return {name: None if share is None else round(share, 6) for name, share in shares.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdFit:
    """Thresholds of classes that were found on some images, and what they do on others.

    Attributes:
        names: Of the classes, K.
        thresholds: By what was wanted: `(K,)`, NaN where a class needs none.
        decisions: By the same words, and without any.
    """

    names: tuple[str, ...]
    thresholds: Mapping[str, NDArray[np.float64]]
    decisions: Mapping[str, Decisions]

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        fitted: tuple[NDArray[np.floating], NDArray[np.integer]],
        judged: tuple[NDArray[np.floating], NDArray[np.integer]],
    ) -> ThresholdFit:
        """Return thresholds of both kinds.

        Args:
            names: K.
            fitted: Scores `(N, K)` and labels `(N,)` to find thresholds on.
            judged: Of other images.
        """
        found = {
            f"at most {100 * CLASS_FALSE_ACCEPTS:g}% false accepts": thresholds_of_false_accepts(
                *fitted, CLASS_FALSE_ACCEPTS
            ),
            "best F1": thresholds_of_best_f1(*fitted),
        }
        none = np.full(len(names), np.nan)
        decisions = {words: Decisions.of(*judged, limits) for words, limits in {"no thresholds": none, **found}.items()}
        return cls(names, found, decisions)

    def to_json(self) -> dict[str, Any]:
        """Return thresholds and decisions as an object; a class that needs no threshold is null."""
        return {
            words: {
                "decisions": decisions.to_json(),
                "thresholds": {
                    name: None if np.isnan(value) else round(float(value), 6)
                    for name, value in zip(self.names, self.thresholds.get(words, ()), strict=False)
                },
            }
            for words, decisions in self.decisions.items()
        }
