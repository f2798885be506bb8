"""What the sides of methods are made of, as PyTorch modules that export to ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.generative.conditioning import as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edgezsl.zsl.method import Rows
    from edgezsl.zsl.semantic.predictors import Dap, Sync

_SHORTEST = 1e-12


class Unit(nn.Module):
    """Rows at length 1."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return `rows (N, D)` divided by their lengths."""
        return functional.normalize(rows, dim=1, eps=_SHORTEST)


class Less(nn.Module):
    """Rows less a mean.

    Args:
        mean: `(D,)`.
    """

    def __init__(self, mean: Rows) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", as_tensor(mean))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `rows (N, D)` less the mean."""
        return rows - self.mean


class Product(nn.Module):
    """Rows times a matrix.

    Args:
        matrix: `(D, E)`.
    """

    def __init__(self, matrix: Rows) -> None:
        super().__init__()
        self.matrix: Tensor
        self.register_buffer("matrix", as_tensor(matrix))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows @ self.matrix


class Nearest(nn.Module):
    """Rows, and a bias by which the greatest product is that of the nearest row: `−‖μ‖²/2`."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return `rows (K, D)` and biases `(K,)`."""
        return rows, -rows.square().sum(dim=1) / 2


class Columns(nn.Module):
    """Some columns of rows.

    Args:
        columns: Which.
    """

    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows[:, self.columns]


class LikeliestSeen(nn.Module):
    """Outputs of a classifier of seen classes to the shares of the T likeliest of them, summing to 1.

    Args:
        top: T.
    """

    def __init__(self, top: int) -> None:
        super().__init__()
        self.top = top

    def forward(self, outputs: Tensor) -> Tensor:
        """Return shares `(N, C)` of `outputs (N, C)`."""
        if self.top >= outputs.shape[1]:
            return outputs.softmax(dim=1)
        least = outputs.topk(self.top, dim=1).values[:, -1:]
        return outputs.masked_fill(outputs < least, -torch.inf).softmax(dim=1)


class AttributesPredicted(nn.Module):
    """Outputs of predictors of attributes to `[log p, log(1 − p)]`."""

    def forward(self, outputs: Tensor) -> Tensor:
        """Return `(N, 2M)` of `outputs (N, M)`."""
        return torch.cat([functional.logsigmoid(outputs), functional.logsigmoid(-outputs)], dim=1)


class AttributesGiven(nn.Module):
    """Descriptions to `[a, 1 − a]` and less the logarithm of the prior.

    Args:
        method: Direct attribute prediction, fitted.
    """

    def __init__(self, method: Dap) -> None:
        super().__init__()
        self.kept = np.flatnonzero(method.kept_).tolist()
        self.means: Tensor
        self.prior: Tensor
        self.register_buffer("means", as_tensor(method.means_[method.kept_]))
        self.register_buffer("prior", as_tensor(np.log(np.concatenate([method.priors_, 1 - method.priors_]))))

    def forward(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors `(K, 2M)` and biases `(K,)`."""
        shares = semantics / semantics.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(semantics.dtype).tiny)
        attributes = (shares[:, self.kept] > self.means).to(semantics.dtype)
        vectors = torch.cat([attributes, 1 - attributes], dim=1)
        return vectors, -(vectors @ self.prior)


class Synthesised(nn.Module):
    """Descriptions to classifiers and constants, synthesised from those of phantom classes.

    Args:
        method: SynC, fitted.
    """

    def __init__(self, method: Sync) -> None:
        super().__init__()
        self.width = method.width_
        self.phantoms: Tensor
        self.rows: Tensor
        self.register_buffer("phantoms", as_tensor(method.phantoms_))
        self.register_buffer("rows", as_tensor(method.rows_))

    def forward(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors `(K, F)` and biases `(K,)` of unit `semantics (K, A)`."""
        distances = 2 - 2 * semantics @ self.phantoms.T  # squared, of rows of length 1
        synthesised = (-distances / self.width).softmax(dim=1) @ self.rows
        return synthesised[:, :-1], synthesised[:, -1]


class Affine(nn.Module):
    """Rows times all but the last row of a matrix, and that row added.

    Args:
        matrix: `(D + 1, E)`.
    """

    def __init__(self, matrix: Rows) -> None:
        super().__init__()
        self.matrix: Tensor
        self.constant: Tensor
        self.register_buffer("matrix", as_tensor(matrix[:-1]))
        self.register_buffer("constant", as_tensor(matrix[-1]))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(N, E)` of `rows (N, D)`."""
        return rows @ self.matrix + self.constant


class Abreast(nn.Module):
    """What several modules make of the same rows, side by side; of those with biases, their weighted sum.

    Args:
        parts: The modules; each gives rows, or rows and biases.
        factors: What each is multiplied by.
        biased: Whether biases are given.
    """

    def __init__(self, parts: Sequence[nn.Module], factors: Sequence[float], *, biased: bool) -> None:
        super().__init__()
        self.parts, self.factors, self.biased = nn.ModuleList(parts), tuple(factors), biased

    def forward(self, rows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return `(N, D)`, and biases `(N,)` where there are any."""
        answers = [part(rows) for part in self.parts]
        pairs = [one if isinstance(one, tuple) else (one, torch.zeros_like(one[:, 0])) for one in answers]
        found = torch.cat([factor * vectors for factor, (vectors, _) in zip(self.factors, pairs, strict=True)], dim=1)
        if not self.biased:
            return found
        return found, torch.stack([factor * bias for factor, (_, bias) in zip(self.factors, pairs, strict=True)]).sum(0)
