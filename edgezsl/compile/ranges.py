"""How far the values of a tensor reach: histograms over a calibration set, and the range that INT8 keeps of them.

Every range is symmetric about 0, because TensorRT's INT8 has no zero point. What lies beyond a range is clipped to it:
a narrow range clips more and rounds less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Calibrator = Literal["percentile", "minmax", "entropy"]

BINS = 8192  # of a histogram of magnitudes, from 0
LEVELS = 127  # of INT8 above 0
_CANDIDATES = 256  # ranges that the entropy calibrator compares
_SMALLEST = 1e-9  # of a range: a tensor that is always 0 needs one too


class Histogram:
    """The magnitudes of one tensor over many frames.

    Bins that no longer reach far enough are joined in pairs, so that no value is ever looked at twice.

    Attributes:
        counts: `(BINS,)` int64.
        top: Where the last bin ends.
        largest: The largest magnitude met.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.top = 0.0
        self.largest = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the values of a tensor, of any shape, finite."""
        magnitudes = np.abs(values).ravel()
        most = float(magnitudes.max(initial=0))
        self.largest = max(self.largest, most)
        self.top = self.top or most
        if not self.top:  # nothing but zeros so far
            self.counts[0] += magnitudes.size
            return
        while most > self.top:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([pairs, np.zeros_like(pairs)])
            self.top *= 2
        bins = np.minimum((magnitudes * np.float32(BINS / self.top)).astype(np.int32), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    def range(self, calibrator: Calibrator, percentile: float) -> float:
        """Return the largest magnitude that INT8 keeps, > 0.

        Args:
            calibrator: `percentile`: so many percent of the values lie within. `minmax`: all do. `entropy`: the range
                whose quantized histogram tells least from the whole one (Migacz, "8-bit inference with TensorRT", GPU
                Technology Conference 2017).
            percentile: Of `percentile`, in percent.
        """
        match calibrator:
            case "minmax":
                reach = self.largest
            case "percentile":
                within = np.searchsorted(np.cumsum(self.counts), percentile / 100 * self.counts.sum())
                reach = min((int(within) + 1) * self.top / BINS, self.largest)
            case "entropy":
                reach = min(_least_divergence(self.counts) * self.top / BINS, self.largest)
        return max(reach, _SMALLEST)


def _least_divergence(counts: NDArray[np.int64]) -> int:
    """Return how many bins the range covers for which the quantized histogram diverges least from the true one."""
    counts = counts.copy()
    counts[0] = counts[1]  # rectified tensors are mostly 0, whatever the range
    if not counts.any():
        return len(counts)
    last = int(np.flatnonzero(counts).max(initial=LEVELS)) + 1
    candidates = np.unique(np.linspace(LEVELS + 1, max(last, LEVELS + 1), _CANDIDATES).astype(int))
    divergences = [_divergence(counts, int(bins)) for bins in candidates]
    return int(candidates[int(np.argmin(divergences))])


def _divergence(counts: NDArray[np.int64], bins: int) -> float:
    """Return the Kullback-Leibler divergence of the first `bins`, in `LEVELS` levels, from all bins clipped to them."""
    kept = counts[:bins].astype(np.float64)
    true = kept.copy()
    true[-1] += counts[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    filled = np.bincount(level, kept > 0, LEVELS)
    share = np.bincount(level, kept, LEVELS) / np.maximum(filled, 1)
    quantized = np.where(kept > 0, share[level], 0)
    smooth = 1e-6 * true.sum() / bins
    true, quantized = true + smooth, quantized + smooth
    true, quantized = true / true.sum(), quantized / quantized.sum()
    return float(np.sum(true * np.log(true / quantized)))
