"""Generalised zero-shot learning: how well seen and unseen classes are told apart from each other, and at which penalty.

A model favours the classes that it was fitted on. Calibrated stacking subtracts γ from their scores (Chao et al., "An empirical
study and analysis of generalized zero-shot learning for object recognition in the wild", ECCV 2016). Of a row only two things
matter: the best seen and the best unseen class, and by how much the first is ahead. So one pass gives every γ at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SeenUnseenCurve:
    """Accuracies at every penalty, each the mean over classes of top-1 accuracy among all classes.

    Attributes:
        edges: `(E,)`, ascending: the penalties at which rows go from a seen class to an unseen one.
        seen: S `(E + 1,)` in [0, 1] between the edges, never rising.
        unseen: U `(E + 1,)` in [0, 1], never falling.
    """

    edges: NDArray[np.float64]
    seen: NDArray[np.float64]
    unseen: NDArray[np.float64]

    @classmethod
    def of(
        cls, scores: NDArray[np.floating], labels: NDArray[np.integer], seen_classes: NDArray[np.bool_]
    ) -> SeenUnseenCurve:
        """Return the curve of test rows of both kinds of classes.

        Args:
            scores: `(N, K)`.
            labels: `(N,)`, columns of `scores`; one row at least of a seen and of an unseen class.
            seen_classes: `(K,)`, whether a column is a seen class; both kinds occur.
        """
        columns = np.flatnonzero(seen_classes), np.flatnonzero(~seen_classes)
        best = [part[scores[:, part].argmax(axis=1)] for part in columns]
        rows = np.arange(len(labels))
        ahead = scores[rows, best[0]] - scores[rows, best[1]]
        is_seen = seen_classes[labels]
        weights = 1 / np.bincount(labels, minlength=scores.shape[1])[labels].astype(np.float64)
        order = np.argsort(ahead, kind="stable")
        steps = [
            np.cumsum(np.where((best[kind] == labels) & (is_seen == (kind == 0)), weights, 0.0)[order])
            for kind in (0, 1)
        ]
        classes = [len(np.unique(labels[is_seen])), len(np.unique(labels[~is_seen]))]
        last = np.flatnonzero(np.append(np.diff(ahead[order]) > 0, True))  # of rows that are equally far ahead
        return cls(
            ahead[order][last].astype(np.float64),
            np.concatenate([[steps[0][-1]], steps[0][-1] - steps[0][last]]) / classes[0],
            np.concatenate([[0.0], steps[1][last]]) / classes[1],
        )

    def at(self, penalty: float) -> tuple[float, float, float]:
        """Return U, S and their harmonic mean H at a penalty (Xian et al., TPAMI 2018, equation 22)."""
        index = int(np.searchsorted(self.edges, penalty, side="right"))
        unseen, seen = float(self.unseen[index]), float(self.seen[index])
        return unseen, seen, harmonic(unseen, seen)

    def best(self) -> tuple[float, float]:
        """Return the penalty with the highest H, and that H."""
        means = 2 * self.unseen * self.seen / np.maximum(self.unseen + self.seen, np.finfo(np.float64).tiny)
        index = int(means.argmax())
        outer = np.concatenate([[self.edges[0] - 1], self.edges, [self.edges[-1] + 1]])
        return float(outer[index : index + 2].mean()), float(means[index])

    def area(self) -> float:
        """Return the area under S over U, all penalties: AUSUC (Chao et al., section 3.4)."""
        widths = np.diff(self.unseen)
        return float((widths * (self.seen[1:] + self.seen[:-1]) / 2).sum())


def harmonic(unseen: float, seen: float) -> float:
    """Return the harmonic mean of two accuracies, 0 where both are."""
    return 2 * unseen * seen / (unseen + seen) if unseen + seen else 0.0
