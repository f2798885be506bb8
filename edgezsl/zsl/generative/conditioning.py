"""What generative models see: rows of a common scale, and descriptions along the directions in which seen classes differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_means

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows

_LENGTH = 4.0  # of a row: about that of the papers' features, each between 0 and 1
_NEGLIGIBLE = 1e-5  # of the largest spread: a direction in which classes differ by rounding alone


class Centring(nn.Module):
    """Rows `(..., D)`, real or generated, less the mean of seen classes, and of one length.

    The papers bring each feature to [0, 1] by its smallest and largest value, and end a generator in a sigmoid or a rectifier. Here
    a bias that all images share is gone, the nearest row is the nearest by its centred cosine, and a generator ends in a linear
    layer: features that are negative need no case of their own.

    Args:
        rows: `(N, D)`, real ones of seen classes.
        labels: `(N,)`, their classes.
    """

    centre: Tensor

    def __init__(self, rows: Tensor, labels: NDArray[np.integer]) -> None:
        super().__init__()
        means = class_means(rows.numpy().astype(np.float64), labels)[1]
        self.register_buffer("centre", torch.from_numpy(means.mean(axis=0).astype(np.float32)))

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows `(..., D)` of one length."""
        return _LENGTH * functional.normalize(rows - self.centre, dim=-1)


class Description(nn.Module):
    """Descriptions `(K, A)` to conditions `(K, R)`: at length 1, less the mean of seen classes, along their R principal directions.

    A first layer learns nothing outside of the span of what it is fitted on, and keeps its random start there: an unseen class would
    be told apart by noise. Conditions have entries of size 1 in the mean, and directions keep their relative spread.

    Args:
        semantics: `(C, A)`, of the seen classes.
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, semantics: Rows) -> None:
        super().__init__()
        described = unit(semantics.astype(np.float64))
        mean = described.mean(axis=0)
        _, spread, directions = np.linalg.svd(described - mean, full_matrices=False)
        kept = spread > _NEGLIGIBLE * max(float(spread.max(initial=0.0)), _NEGLIGIBLE)
        size = np.sqrt(np.square(spread).sum() / (len(described) * max(int(kept.sum()), 1)))
        basis = directions[kept].T / max(float(size), _NEGLIGIBLE)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("directions", torch.from_numpy(np.ascontiguousarray(basis, np.float32)))

    @property
    def width(self) -> int:
        """R, less than the number of seen classes."""
        return self.directions.shape[1]

    def forward(self, semantics: Tensor) -> Tensor:
        """Return conditions `(K, R)`."""
        result: Tensor = (functional.normalize(semantics, dim=1) - self.mean) @ self.directions
        return result


def as_rows(rows: Tensor) -> Rows:
    """Return rows as an array of float64."""
    found: NDArray[np.float32] = rows.detach().numpy()
    return found.astype(np.float64)


def as_tensor(rows: Rows) -> Tensor:
    """Return rows as a tensor of float32."""
    return torch.from_numpy(np.ascontiguousarray(rows, np.float32))
