"""The figures of a parity report: pure functions of two sets of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.intervals import share_interval
from edgezsl.scoring import scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgezsl.prototypes import ClassPrototypes

_WORST_PERCENT = 1
_RESAMPLES, _RESAMPLE_SEED = 2000, 0
_INTERVAL = (2.5, 97.5)  # percent
_TINY = float(np.finfo(np.float32).tiny)


def agreement_figures(model: NDArray[np.float32], export: NDArray[np.float32]) -> dict[str, float]:
    """Return how near the embeddings of an export are to those of its model.

    Embeddings of different images share a large part of their direction, which every export gets right. *Centred*
    cosines, after the model's mean embedding is subtracted from both, look at the rest.

    Args:
        model: `(N, D)` float32, N ≥ 1.
        export: `(N, D)` float32.

    Returns:
        `cosine_mean`, `cosine_min`, `cosine_worst1`, `centred_mean`, `centred_min`, `centred_worst1`.
    """
    mean = model.astype(np.float64).mean(axis=0) if len(model) > 1 else 0.0
    figures: dict[str, float] = {}
    for word, shift in (("cosine", 0.0), ("centred", mean)):
        each = cosines(model - shift, export - shift)
        worst = float(np.percentile(each, _WORST_PERCENT))
        found = {"mean": float(each.mean()), "min": float(each.min()), "worst1": worst}
        figures |= {f"{word}_{name}": round(value, 6) for name, value in found.items()}
    return figures


def paired_interval(difference: NDArray[np.float64], photographs: Sequence[str]) -> tuple[float, float]:
    """Return the 95% interval of the mean of paired differences, by resampling photographs (a bootstrap).

    Images of one photograph are drawn together: they are not independent (Efron and Tibshirani, "An introduction to
    the bootstrap", 1993, chapter 8).

    Args:
        difference: `(N,)`, model less export, image by image.
        photographs: N names.
    """
    _, group = np.unique(np.asarray(photographs), return_inverse=True)
    sums, sizes = np.bincount(group, difference), np.bincount(group)
    drawn = np.random.RandomState(_RESAMPLE_SEED).randint(0, len(sums), (_RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, _INTERVAL)
    return float(low), float(high)


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine `(N,)` of each row of `a (N, D)` to the same row of `b (N, D)`; 0 where one is 0.

    A row that is not finite is as far away as can be, -1: it must break every bound.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        result: NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(lengths, _TINY)
    return np.where(np.isfinite(result), result, -1.0)


def class_figures(
    model: NDArray[np.float32],
    export: NDArray[np.float32],
    prototypes: ClassPrototypes | None,
    right: NDArray[np.intp] | None,
    photographs: Sequence[str],
) -> dict[str, float]:
    """Return how often both name the same class, and where images have labels how often each is right.

    Args:
        model: `(N, D)` float32.
        export: `(N, D)` float32.
        prototypes: The classes, or None: then there are no figures.
        right: The row of each image's own class `(N,)`, -1 where it has none; None where no image has a label.
        photographs: N names.

    Returns:
        `top1_agreement`, its 95% interval `top1_low` and `top1_high`, and with labels `model_accuracy`, `accuracy`, `drop`, `drop_low`, `drop_high`.
    """
    if prototypes is None:
        return {}
    best = [scores(rows, prototypes.vectors, prototypes.offset).argmax(axis=1) for rows in (model, export)]
    agreement = float(np.mean(best[0] == best[1]))
    figures = {"top1_agreement": agreement}
    interval = share_interval(round(agreement * len(model)), len(model))
    figures["top1_low"], figures["top1_high"] = interval.low, interval.high
    if right is not None:
        hits = [(rows == right).astype(np.float64) for rows in best]
        low, high = paired_interval(hits[0] - hits[1], photographs)
        figures |= {"model_accuracy": float(hits[0].mean()), "accuracy": float(hits[1].mean())}
        figures |= {"drop": float((hits[0] - hits[1]).mean()), "drop_low": low, "drop_high": high}
    return {name: round(value, 6) for name, value in figures.items()}
