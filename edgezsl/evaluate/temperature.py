"""The score temperature, which makes probabilities of scores: fitted on some images, judged on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # of Guo et al.
_LOWEST, _HIGHEST = 1e-4, 1e4  # of a temperature, times the spread of scores: where it would go to 0 or to infinity
_HALVINGS = 60


def softmax(scores: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities `(N, K)` of `scores (N, K)` over a temperature > 0."""
    logits = scores.astype(np.float64) / temperature
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def negative_log_likelihood(scores: NDArray[np.floating], labels: NDArray[np.integer], temperature: float) -> float:
    """Return the mean of `-log p` of each row's own class, in nats.

    Args:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`, N ≥ 1.
        temperature: > 0.
    """
    own = softmax(scores, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


def fitted_temperature(scores: NDArray[np.floating], labels: NDArray[np.integer], *, doubt: float = 0.0) -> float:
    """Return the temperature of scores with the least negative log-likelihood.

    Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2. In the inverse temperature the likelihood is
    concave and its slope is the own score less the score that the probabilities expect: the slope's only zero is found by halving.
    Where every row is right the best temperature would be 0, and where scores say nothing it would be infinite: then it is the
    bound of what is searched.

    Args:
        scores: `(N, K)`, not all equal.
        labels: `(N,)`, columns of `scores`, N ≥ 1.
        doubt: The share in [0, 1) of each row that is laid on all classes alike instead of its own: with any, even rows that are
            all right have a best temperature above 0.
    """
    spread = float(scores.std())
    own = (1 - doubt) * scores[np.arange(len(labels)), labels] + doubt * scores.mean(axis=1)
    low, high = np.log(_LOWEST * spread), np.log(_HIGHEST * spread)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (softmax(scores, float(np.exp(middle))) * scores).sum(axis=1)
        # Where all is right it vanishes in rounding before the bound is reached: there it is above 0, too.
        low, high = (low, middle) if float((own - expected).mean()) >= 0 else (middle, high)
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Whether what is said with a probability is right as often: bins of equal width over [0, 1] (Guo et al., section 2).

    Attributes:
        probability: The mean probability of the best class in each bin `(B,)`; NaN where a bin is empty.
        right: The share of its rows that is right `(B,)`.
        share: Of all rows `(B,)`.
    """

    probability: NDArray[np.float64]
    right: NDArray[np.float64]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Reliability:
        """Return the bins of `probabilities (N, K)` with `labels (N,)`."""
        best = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
        bins = np.clip(np.ceil(best * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (0, 1/B], (1/B, 2/B], …
        counts = np.bincount(bins, minlength=BINS).astype(np.float64)
        filled = np.where(counts > 0, counts, np.nan)
        sums = (np.bincount(bins, values, BINS) for values in (best, right.astype(np.float64)))
        probability, share_right = (total / filled for total in sums)
        return cls(probability, share_right, counts / len(labels))

    @property
    def ece(self) -> float:
        """ECE: the mean distance of both, weighted by the rows of a bin, in [0, 1] (Guo et al., equation 3)."""
        return float(np.nansum(self.share * np.abs(self.right - self.probability)))


@dataclass(frozen=True, slots=True, eq=False)
class TemperatureFit:
    """A score temperature that was fitted on some images, and what it does on others.

    Attributes:
        temperature: In units of scores.
        before: The temperature that scores had: 1 where the model says none.
        nll: The negative log-likelihood of the images that were judged, before and after.
        reliability: Of them, before and after.
        fitted_on: What it was fitted on, in words.
    """

    temperature: float
    before: float
    nll: tuple[float, float]
    reliability: tuple[Reliability, Reliability]
    fitted_on: str

    @classmethod
    def of(
        cls,
        temperature: float,
        scores: NDArray[np.floating],
        labels: NDArray[np.integer],
        *,
        before: float,
        fitted_on: str,
    ) -> TemperatureFit:
        """Return what a temperature does to `scores (N, K)` with `labels (N,)` that it was not fitted on."""
        both = before, temperature
        nll = [negative_log_likelihood(scores, labels, one) for one in both]
        reliability = [Reliability.of(softmax(scores, one), labels) for one in both]
        return cls(temperature, before, (nll[0], nll[1]), (reliability[0], reliability[1]), fitted_on)

    def to_json(self) -> dict[str, Any]:
        """Return the fit as an object."""
        return {
            "temperature": self.temperature,
            "temperature_before": self.before,
            "nll": [round(value, 6) for value in self.nll],
            "ece": [round(one.ece, 6) for one in self.reliability],
            "fitted_on": self.fitted_on,
        }
