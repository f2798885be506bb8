"""How far a figure may be off: intervals over seeds, over counted images, and over classes that are drawn again."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_LEVEL = 0.95
_NORMAL = 1.959964  # standard deviations on each side of 95% of a normal distribution
RESAMPLES, _RESAMPLE_SEED = 2000, 0
_LARGEST_T = 1e3  # of one degree of freedom 12.7 is needed
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and between what it lies with 95%.

    Attributes:
        value: The figure.
        low: Not above it.
        high: Not below it.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def to_json(self) -> dict[str, float | None]:
        """Return it as an object; what is not known is null."""
        return {name: round(number, 6) if math.isfinite(number) else None for name, number in asdict(self).items()}


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent runs with its interval by Student's t (Biometrika 6, 1908).

    Args:
        values: Of the runs, such as one for each seed; of a single one nothing is known but itself, and the interval is infinite.
    """
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, -math.inf, math.inf)
    half = student_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def student_quantile(freedom: int) -> float:
    """Return the t between whose negative and itself 95% of Student's distribution lie.

    For whole degrees of freedom the distribution has a closed form (Abramowitz and Stegun, "Handbook of mathematical functions",
    1964, 26.7.3 and 26.7.4), which is halved until it fits.

    Args:
        freedom: Degrees of freedom, ≥ 1.
    """
    low, high = 0.0, _LARGEST_T
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, freedom) < _LEVEL else (low, middle)
    return (low + high) / 2


def _share_within(t: float, freedom: int) -> float:
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    total, term = 0.0, math.cos(angle) if odd else 1.0
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def share_interval(right: int, count: int) -> Interval:
    """Return the share of `count` images that is right, with Wilson's interval (JASA 22, 1927).

    Args:
        right: 0 ≤ right ≤ count.
        count: At least 1.
    """
    share, pulled = right / count, _NORMAL**2 / count
    middle = (share + pulled / 2) / (1 + pulled)
    half = math.sqrt(pulled * share * (1 - share) + pulled**2 / 4) / (1 + pulled)
    return Interval(share, min(share, middle - half), max(share, middle + half))


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], float], count: int, *, resamples: int = RESAMPLES
) -> Interval:
    """Return a statistic with the interval of its values over samples that are drawn with replacement.

    Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 13.3; samples of which the statistic is not a number,
    such as a correlation of a single class, are left out.

    Args:
        statistic: Of row numbers `(count,)`, from 0.
        count: How many there are to draw from, ≥ 1.
        resamples: How often they are drawn.
    """
    random = np.random.default_rng(_RESAMPLE_SEED)
    drawn = np.array([statistic(random.integers(0, count, count)) for _ in range(resamples)])
    known = drawn[np.isfinite(drawn)]
    value = statistic(np.arange(count))
    if not len(known):
        return Interval(value, -math.inf, math.inf)
    low, high = np.percentile(known, [50 * (1 - _LEVEL), 50 * (1 + _LEVEL)])
    return Interval(value, float(low), float(high))
