"""Prototypical networks: an embedding in which a class is the mean of its examples.

Snell, Swersky and Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017. Nothing of a new class is
trained, so what is learned is what a device runs: an image encoder, and a row for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from edgezsl.data.episodes import Episode, Episodes

_BATCH = 500  # images embedded at once


@dataclass(frozen=True, slots=True)
class ProtoNetSchedule:
    """How long and how fast.

    Attributes:
        episodes: Steps of Adam, one episode each.
        learning_rate: The first.
        halved_every: Episodes after which it is halved.
    """

    episodes: int
    learning_rate: float = 1e-3
    halved_every: int = 2000


@dataclass(frozen=True, slots=True)
class MetaStep:
    """How far meta-training is.

    Attributes:
        done: Episodes learned.
        total: Of the schedule.
        loss: Mean since the last step that was told.
        accuracy: On the queries of the same episodes, in [0, 1].
    """

    done: int
    total: int
    loss: float
    accuracy: float


def fit_prototypical(
    encoder: nn.Module, episodes: Episodes, schedule: ProtoNetSchedule, *, every: int = 100
) -> Iterator[MetaStep]:
    """Train an encoder in place, on the device where it and the images are; yield every `every` episodes.

    Args:
        encoder: `(N, ...)` to `(N, D)`.
        episodes: More ways than a test has make a better embedding (section 3.1).
        schedule: The schedule.
        every: How often it is told how far it is.
    """
    optimizer = torch.optim.Adam(encoder.parameters(), schedule.learning_rate)
    rates = torch.optim.lr_scheduler.StepLR(optimizer, schedule.halved_every, gamma=0.5)
    encoder.train()

    def learn(number: int) -> tuple[Tensor, Tensor]:
        loss, right = prototypical_loss(encoder, episodes.draw(number))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        rates.step()
        return loss, right

    yield from meta_steps(learn, schedule.episodes, every)
    encoder.eval()


def meta_steps(learn: Callable[[int], tuple[Tensor, Tensor]], total: int, every: int) -> Iterator[MetaStep]:
    """Take `total` steps, each giving its loss and the share that was right; yield their means every `every` steps."""
    told: list[Tensor] = []
    for number in range(total):
        loss, right = learn(number)
        told.append(torch.stack([loss.detach(), right]))
        if (number + 1) % every == 0 or number + 1 == total:
            mean_loss, accuracy = torch.stack(told).mean(0).tolist()
            told.clear()
            yield MetaStep(number + 1, total, mean_loss, accuracy)


def prototypical_loss(encoder: nn.Module, episode: Episode) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy of one task's queries, and the share that is right (algorithm 1).

    Support and query go through the encoder as one batch, so that batch normalisation sees both.
    """
    support, query = episode.support[0], episode.query[0]
    embedded = encoder(torch.cat([support.flatten(0, 1), query.flatten(0, 1)]))
    learned, judged = torch.split(embedded, [len(support.flatten(0, 1)), len(query.flatten(0, 1))])
    vectors, bias = rows_of_examples(learned.view(*support.shape[:2], -1))
    logits, targets = 2 * (judged @ vectors.T + bias), episode.targets()
    right = (logits.argmax(1) == targets).float().mean()
    return functional.cross_entropy(logits, targets), right


def rows_of_examples(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Return class prototypes `(..., K, D)` and their bias `(..., K)` for `embeddings (..., K, n, D)` of n examples each.

    The nearest mean μ of x is the one with the highest x·μ − ‖μ‖²/2: half the negative squared distance without the
    part that all classes share. So Euclidean distance needs no other engine than a product with a matrix.
    """
    means = embeddings.mean(dim=-2)
    return means, -means.square().sum(dim=-1) / 2


@torch.no_grad()
def embed(encoder: nn.Module, images: Tensor) -> Tensor:
    """Return embeddings `(N, D)` of `images (N, ...)`, a batch at a time."""
    encoder.eval()
    return torch.cat([encoder(part) for part in torch.split(images, _BATCH)])


def nearest_prototypes(episode: Episode) -> Tensor:
    """Return the class of each query `(T, ways · queries)` of an episode of *embeddings* `(T, ways, n, D)`."""
    vectors, bias = rows_of_examples(episode.support)
    scores = episode.query.flatten(1, 2) @ vectors.transpose(1, 2) + bias[:, None]
    return scores.argmax(dim=2)


def confidence(accuracies: Tensor) -> tuple[float, float]:
    """Return the mean of the accuracies `(episodes,)` and half the width of its 95% interval."""
    rows = accuracies.double().cpu().numpy()
    return float(rows.mean()), float(1.96 * rows.std(ddof=1) / np.sqrt(len(rows)))
