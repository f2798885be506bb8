"""MAML: a first set of weights from which a few steps of gradient descent reach a new task.

Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017. The encoder
itself is adapted, so no matrix of class prototypes says what a task has learned: such a model runs on a workstation only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from edgezsl.zsl.meta.prototypical import meta_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from edgezsl.data.episodes import Episode, Episodes
    from edgezsl.zsl.meta.prototypical import MetaStep

_LARGEST_GRADIENT = 10.0  # of a meta-step: a task that went astray must not undo the others


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a network is adapted to a task.

    Attributes:
        steps: Of gradient descent on the whole support.
        rate: Of each, alpha in the paper.
    """

    steps: int
    rate: float


@dataclass(frozen=True, slots=True)
class MamlSchedule:
    """How the first weights are learned.

    Attributes:
        iterations: Meta-steps of Adam.
        tasks: Tasks in each.
        learning_rate: β, falling to 0 by half a cosine.
        adaptation: What is done in training; more steps may be taken afterwards.
        second_order: Whether the meta-gradient goes through the gradients of the inner steps (equation 1), or takes
            them as constants (section 5.2).
    """

    iterations: int
    tasks: int
    learning_rate: float
    adaptation: Adaptation
    second_order: bool = True


def fit_maml(network: nn.Module, episodes: Episodes, schedule: MamlSchedule, *, every: int = 100) -> Iterator[MetaStep]:
    """Train the first weights of a network in place; yield every `every` iterations.

    Args:
        network: `(N, ...)` to logits `(N, ways)`; no running statistics and no dropout in it.
        episodes: Tasks to learn from.
        schedule: The schedule.
        every: How often it is told how far it is.
    """
    optimizer = torch.optim.Adam(network.parameters(), schedule.learning_rate)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.iterations)

    def learn(number: int) -> tuple[Tensor, Tensor]:
        episode = episodes.draw(number, schedule.tasks)
        loss, right = _task_losses(network, episode, schedule.adaptation, second_order=schedule.second_order)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.mean())
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        rates.step()
        return loss.mean(), right.mean()

    yield from meta_steps(learn, schedule.iterations, every)


@torch.no_grad()
def adapted_accuracies(network: nn.Module, episode: Episode, adaptation: Adaptation) -> Tensor:
    """Return the share of right answers `(T,)` to the queries of each task after the network was adapted to it."""
    return _task_losses(network, episode, adaptation, second_order=False)[1]


def adapted(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    support: tuple[Tensor, Tensor],
    adaptation: Adaptation,
    *,
    second_order: bool,
) -> dict[str, Tensor]:
    """Return parameters after the steps of an adaptation to one task.

    Args:
        network: `(N, ...)` to logits `(N, ways)`.
        parameters: From which to start, by name.
        support: Images `(N, ...)` and their classes `(N,)`.
        adaptation: Steps and rate.
        second_order: Whether the result can be differentiated through the gradients of the steps.
    """

    def loss(now: Mapping[str, Tensor]) -> Tensor:
        return functional.cross_entropy(functional_call(network, dict(now), (support[0],)), support[1])

    now = dict(parameters)
    for _ in range(adaptation.steps):
        slopes = grad(loss)(now)
        now = {
            name: value - adaptation.rate * (slopes[name] if second_order else slopes[name].detach())
            for name, value in now.items()
        }
    return now


def _task_losses(
    network: nn.Module, episode: Episode, adaptation: Adaptation, *, second_order: bool
) -> tuple[Tensor, Tensor]:
    """Return the loss and the share of right answers `(T,)` on the queries of each task, after adaptation to it."""
    parameters = dict(network.named_parameters())
    shots = episode.support.shape[2]
    classes = torch.arange(episode.support.shape[1], device=episode.support.device).repeat_interleave(shots)
    targets = episode.targets()

    def judged(support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        now = adapted(network, parameters, (support, classes), adaptation, second_order=second_order)
        logits = functional_call(network, now, (query,))
        return functional.cross_entropy(logits, targets), (logits.argmax(1) == targets).float().mean()

    support, query = episode.support.flatten(1, 2), episode.query.flatten(1, 2)
    if support.is_cuda:  # many small kernels wait for each other: all tasks in each
        return vmap(judged)(support, query)
    loss, right = zip(
        *map(judged, support, query), strict=True
    )  # a convolution with a kernel for each task is slow here
    return torch.stack(loss), torch.stack(right)
