"""Meta-LSTM: an optimizer that is itself learned, with the weights from which it starts.

Ravi and Larochelle, "Optimization as a model for few-shot learning", ICLR 2017. The cell state of an LSTM is the
network: what it forgets is weight decay, what it lets in is the learning rate, both for each weight and each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from edgezsl.zsl.meta.prototypical import meta_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from edgezsl.data.episodes import Episode, Episodes
    from edgezsl.zsl.meta.prototypical import MetaStep

_HIDDEN = 20
_FORGET_BIAS, _INPUT_BIAS = 6.0, -4.0  # at first: keep the weights, and step by 0.018 times the gradient
_SCALE = 10.0  # p of the preprocessing
_LARGEST_GRADIENT = 0.25


@dataclass(frozen=True, slots=True)
class MetaLstmSchedule:
    """How the optimizer is learned.

    Attributes:
        iterations: Meta-steps of Adam, one task each.
        learning_rate: Of the meta-steps.
        steps: That the learned optimizer takes in a task.
        second_order: Whether the meta-gradient goes through the gradients of the steps, as MAML's does, or takes them as
            constants, as the paper does (section 3.3).
    """

    iterations: int
    learning_rate: float
    steps: int
    second_order: bool = False


class MetaLstm(nn.Module):
    """An optimizer of one network, shared by all its weights, and the weights that it starts from.

    Args:
        network: `(N, ...)` to logits `(N, ways)`; its weights at birth are the first start.
        largest_rate: Of a step, where the input gate is open. The paper's is 1; where one is too little, gates open wholly and
            learn nothing more.
    """

    def __init__(self, network: nn.Module, *, largest_rate: float = 1.0) -> None:
        super().__init__()
        self._largest_rate = largest_rate
        self._shapes = {name: value.shape for name, value in network.named_parameters()}
        self._network = (network,)  # in a tuple, so that its weights are not mine: `start` is
        self.start = nn.Parameter(torch.cat([value.detach().flatten() for value in network.parameters()]))
        self.cell = nn.LSTMCell(4, _HIDDEN)
        self.forget, self.let_in = nn.Linear(_HIDDEN + 2, 1), nn.Linear(_HIDDEN + 2, 1)
        for gate, bias in ((self.forget, _FORGET_BIAS), (self.let_in, _INPUT_BIAS)):
            nn.init.normal_(gate.weight, std=0.01)
            nn.init.constant_(gate.bias, bias)

    def parameters_of(self, weights: Tensor) -> dict[str, Tensor]:
        """Return the network's parameters by name from `weights (M,)`."""
        parts = torch.split(weights, [shape.numel() for shape in self._shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def logits(self, weights: Tensor, images: Tensor) -> Tensor:
        """Return logits `(N, ways)` of the network with `weights (M,)`."""
        return functional_call(self._network[0], self.parameters_of(weights), (images,))  # type: ignore[no-any-return]

    def adapted(self, images: Tensor, classes: Tensor, steps: int, *, second_order: bool = False) -> Tensor:
        """Return weights `(M,)` after `steps` updates on the support of one task (equations 2 to 4).

        Args:
            images: `(N, ...)`.
            classes: `(N,)`.
            steps: Updates.
            second_order: Whether the result can be differentiated through the gradients of the steps. What the gates see of them
                is always taken as constant.
        """
        weights: Tensor = self.start
        hidden = weights.new_zeros(len(weights), _HIDDEN)
        state, forget, let_in = hidden, torch.ones_like(weights), torch.zeros_like(weights)
        for _ in range(steps):
            loss, slopes = self._gradient(weights, images, classes, second_order=second_order)
            seen = torch.cat([preprocessed(slopes.detach()), preprocessed(loss).expand(len(weights), 2)], dim=1)
            hidden, state = self.cell(seen, (hidden, state))
            forget = torch.sigmoid(self.forget(_gate_inputs(hidden, weights, forget))).squeeze(1)
            let_in = torch.sigmoid(self.let_in(_gate_inputs(hidden, weights, let_in))).squeeze(1)
            weights = forget * weights - self._largest_rate * let_in * slopes
        return weights

    def _gradient(
        self, weights: Tensor, images: Tensor, classes: Tensor, *, second_order: bool
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = weights if second_order else weights.detach().requires_grad_()
            loss = functional.cross_entropy(self.logits(at, images), classes)
            (slopes,) = torch.autograd.grad(loss, at, create_graph=second_order)
        return loss.detach().reshape(1), slopes


def _gate_inputs(hidden: Tensor, weights: Tensor, gate: Tensor) -> Tensor:
    return torch.cat([hidden, weights[:, None], gate[:, None]], dim=1)


def preprocessed(values: Tensor) -> Tensor:
    """Return `(M, 2)` for `values (M,)`: size and sign, so that very different magnitudes can be told apart.

    Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", NeurIPS 2016, appendix A.
    """
    sizes = values.abs()
    large = sizes >= math.exp(-_SCALE)
    size = torch.where(large, sizes.clamp_min(math.exp(-_SCALE)).log() / _SCALE, -1.0)
    sign = torch.where(large, values.sign(), math.exp(_SCALE) * values)
    return torch.stack([size, sign], dim=1)


def fit_meta_lstm(
    optimizer: MetaLstm, episodes: Episodes, schedule: MetaLstmSchedule, *, every: int = 100
) -> Iterator[MetaStep]:
    """Train a learned optimizer in place, one task at a time; yield every `every` iterations."""
    adam = torch.optim.Adam(optimizer.parameters(), schedule.learning_rate)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, schedule.iterations)

    def learn(number: int) -> tuple[Tensor, Tensor]:
        loss, right = _task_loss(
            optimizer, episodes.draw(number), 0, schedule.steps, second_order=schedule.second_order
        )
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_value_(optimizer.parameters(), _LARGEST_GRADIENT)
        adam.step()
        rates.step()
        return loss, right

    yield from meta_steps(learn, schedule.iterations, every)


@torch.no_grad()
def optimized_accuracies(optimizer: MetaLstm, episode: Episode, steps: int) -> Tensor:
    """Return the share of right answers `(T,)` to the queries of each task after `steps` learned updates."""
    return torch.stack([_task_loss(optimizer, episode, task, steps)[1] for task in range(len(episode.support))])


def _task_loss(
    optimizer: MetaLstm, episode: Episode, task: int, steps: int, *, second_order: bool = False
) -> tuple[Tensor, Tensor]:
    ways, shots = episode.support.shape[1:3]
    classes = torch.arange(ways, device=episode.support.device).repeat_interleave(shots)
    weights = optimizer.adapted(episode.support[task].flatten(0, 1), classes, steps, second_order=second_order)
    logits, targets = optimizer.logits(weights, episode.query[task].flatten(0, 1)), episode.targets()
    return functional.cross_entropy(logits, targets), (logits.argmax(1) == targets).float().mean()
