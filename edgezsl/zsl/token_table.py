"""A class side of table and map: a text is the weighted sum of its tokens' rows, a small network maps it to a prototype.

The table starts as the answers of a sentence encoder to each token alone, reduced by principal components, with weights
that fall with a token's frequency (Arora et al., "A simple but tough-to-beat baseline for sentence embeddings", ICLR
2017; Tulkens and van Dongen, "model2vec", 2024). Then table and map are trained together on where words belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.words import WordTargets


@dataclass(frozen=True, slots=True)
class TableSchedule:
    """How a class side is trained.

    Attributes:
        width: A, of a row of the table.
        hidden: Of the map's inner layer.
        steps: Steps.
        batch: Targets in a step.
        table_rate: Highest learning rate of the table.
        map_rate: Highest learning rate of the map.
        weight_decay: Of the map.
        dropout: Of the map's inner layer.
        warmup: Steps.
        frequency: a of the token weight a / (a + p), p the token's share of a corpus.
    """

    width: int
    hidden: int
    steps: int
    batch: int
    table_rate: float
    map_rate: float
    weight_decay: float
    dropout: float
    warmup: int
    frequency: float


class TableSide(nn.Module):
    """Token ids to unit prototypes.

    Args:
        rows: `(V, A)`: what the table starts with.
        weights: `(V,)`: of the tokens.
        dim: D.
        schedule: Gives the width of the map and its dropout.
    """

    def __init__(
        self, rows: NDArray[np.floating], weights: NDArray[np.floating], dim: int, schedule: TableSchedule
    ) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag.from_pretrained(
            torch.tensor(rows, dtype=torch.float32), freeze=False, mode="sum", sparse=True
        )
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))
        self.map = nn.Sequential(
            nn.Linear(rows.shape[1], schedule.hidden),
            nn.ReLU(),
            nn.Dropout(schedule.dropout),
            nn.Linear(schedule.hidden, dim),
        )

    def semantics(self, texts: Sequence[NDArray[np.int64]]) -> Tensor:
        """Return unit semantic embeddings `(N, A)` of texts, each an array of token ids."""
        flat = torch.from_numpy(np.concatenate(texts))
        starts = torch.from_numpy(np.cumsum([0, *(len(one) for one in texts[:-1])]))
        return functional.normalize(self.table(flat, starts, per_sample_weights=self.weights[flat]), dim=1)

    def forward(self, semantics: Tensor) -> Tensor:
        """Return unit prototypes `(N, D)` of semantic embeddings `(N, A)`."""
        return functional.normalize(self.map(semantics), dim=1)


def first_rows(answers: NDArray[np.floating], counts: NDArray[np.integer], width: int) -> NDArray[np.float64]:
    """Return the rows `(V, width)` that a table starts with, of mean square length 1.

    Args:
        answers: `(V, W)`: a sentence encoder's answer to each token alone.
        counts: `(V,)`: of the tokens in a corpus; those that never occur do not shape the components.
        width: A.
    """
    met = counts > 0
    centred = answers - answers[met].mean(axis=0)
    components = np.linalg.svd(centred[met], full_matrices=False)[2][:width]
    rows: NDArray[np.float64] = centred @ components.T
    return rows / float(np.sqrt((rows**2).sum(axis=1).mean()))


def token_weights(counts: NDArray[np.integer], frequency: float) -> NDArray[np.float64]:
    """Return the weight of each token `(V,)`: near 1 for a rare one, near 0 for a frequent one."""
    share = (counts + 1) / (counts + 1).sum()
    weights: NDArray[np.float64] = frequency / (frequency + share)
    return weights


def train_table(
    side: TableSide,
    words: WordTargets,
    tokens: Sequence[Sequence[NDArray[np.int64]]],
    schedule: TableSchedule,
    *,
    seed: int,
) -> Iterator[int]:
    """Train a class side to put each text where it belongs, by cosine; yields the number of steps done.

    A class of several texts is the mean of their embeddings on a device, so half of the batch are random mixtures of two
    texts of the same target.

    Args:
        side: What is trained.
        words: Where texts belong.
        tokens: For each target and text, its token ids.
        schedule: The schedule.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    table: torch.optim.Optimizer = torch.optim.SparseAdam(list(side.table.parameters()), schedule.table_rate)
    mapping = torch.optim.AdamW(side.map.parameters(), schedule.map_rate, weight_decay=schedule.weight_decay)
    share = words.weights / words.weights.sum()
    targets = torch.from_numpy(words.targets)
    side.train()
    for step in range(schedule.steps):
        slope = min(1.0, (step + 1) / schedule.warmup) * 0.5 * (1 + np.cos(np.pi * step / schedule.steps))
        for optimizer, rate in ((table, schedule.table_rate), (mapping, schedule.map_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * slope
        drawn = rng.choice(len(share), schedule.batch, p=share)
        prototypes = side(_mixtures(side, [tokens[one] for one in drawn], rng))
        distance = 1 - (prototypes * targets[drawn]).sum(1).mean()
        table.zero_grad()
        mapping.zero_grad()
        torch.autograd.backward(distance)
        table.step()
        mapping.step()
        yield step + 1


def _mixtures(side: TableSide, texts: Sequence[Sequence[NDArray[np.int64]]], rng: np.random.Generator) -> Tensor:
    """Return one semantic embedding `(A,)` for each target: of one of its texts, or of two of them mixed."""
    picks = [[of_target[int(rng.random() * len(of_target))] for of_target in texts] for _ in range(2)]
    both = side.semantics([*picks[0], *picks[1]])
    share = rng.random((len(texts), 1)) * (rng.random((len(texts), 1)) < 1 / 2)
    part = torch.tensor(share, dtype=torch.float32)
    return functional.normalize(both[: len(texts)] * (1 - part) + both[len(texts) :] * part, dim=1)
