"""What a hyper-parameter may be: a range of numbers or a few values, for a grid and for a search alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Value: TypeAlias = float | int | str | bool


@dataclass(frozen=True, slots=True)
class LogRange:
    """Numbers from `low` to `high`, both > 0, that are told apart by their ratio.

    Attributes:
        low: The smallest.
        high: The largest.
        points: Of a grid, equally far apart in the logarithm.
    """

    low: float
    high: float
    points: int

    def grid(self) -> tuple[float, ...]:
        """Return the points of a grid, ascending."""
        return tuple(float(f"{value:.6g}") for value in np.geomspace(self.low, self.high, self.points))


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values.

    Attributes:
        values: In the order of a grid.
    """

    values: tuple[Value, ...]

    def grid(self) -> tuple[Value, ...]:
        """Return the values."""
        return self.values


Space: TypeAlias = LogRange | Choices
Settings: TypeAlias = dict[str, Value]


def grid_of(spaces: Mapping[str, Space]) -> Iterator[Settings]:
    """Yield every combination of the grids of `spaces`, the last name changing fastest."""
    for values in product(*(space.grid() for space in spaces.values())):
        yield dict(zip(spaces, values, strict=True))
