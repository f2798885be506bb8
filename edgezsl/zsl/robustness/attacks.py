"""Attacks that see everything: the change of an input, none of its values by more than ε, that makes a classifier's loss large.

What an input is, pixels or features, is not known here: a loss is, and the ball around each input. Both attacks give back the worst
point that they met, the input itself among them, so that what they find is never better than what was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgezsl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Losses = Callable[[Tensor], Tensor]

LEVELS = 255
_REACH = 2.5  # of all steps together, in ε: Madry et al., section 5


@dataclass(frozen=True, slots=True)
class Ball:
    """What an attack may give: every value within ε of the input's, and within the range of valid values.

    Attributes:
        epsilon: ε ≥ 0, in the units of the inputs.
        low: The least valid value.
        high: The greatest.

    Raises:
        InputError: When ε is negative, or the range is empty.
    """

    epsilon: float
    low: float = -float("inf")
    high: float = float("inf")

    def __post_init__(self) -> None:
        if not (self.epsilon >= 0 and self.low < self.high):
            raise InputError(
                f"a ball of {self.epsilon} in the range {self.low} to {self.high}",
                code="bad_attack",
                expected="epsilon ≥ 0, and low < high",
            )

    @classmethod
    def of_levels(cls, levels: float) -> Ball:
        """Return the ball of pixels in [0, 1], before normalisation, that change by at most `levels` of 255."""
        return cls(levels / LEVELS, 0.0, 1.0)

    def nearest(self, points: Tensor, inputs: Tensor) -> Tensor:
        """Return the point of the ball around each of `inputs (N, ...)` that is nearest to each of `points (N, ...)`."""
        kept = torch.minimum(torch.maximum(points, inputs - self.epsilon), inputs + self.epsilon)
        return kept.clamp(self.low, self.high)


def fgsm(losses: Losses, inputs: Tensor, ball: Ball) -> Tensor:
    """Return `x + ε sign(∇ loss(x))`, or x where that is no worse: the fast gradient sign method.

    Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, section 4.

    Args:
        losses: Inputs `(N, ...)` to the loss of each, `(N,)`, each of its own input alone.
        inputs: `(N, ...)`, valid.
        ball: What may be given.
    """
    search = _Search(losses, inputs)
    search.look(ball.nearest(inputs + ball.epsilon * search.gradient(inputs).sign(), inputs))
    return search.worst


def pgd(
    losses: Losses,
    inputs: Tensor,
    ball: Ball,
    *,
    steps: int,
    generator: torch.Generator,
    step: float | None = None,
) -> Tensor:
    """Return the worst point on the way of projected gradient ascent from a random point of the ball.

    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1:
    `x ← nearest(x + step · sign(∇ loss(x)))`.

    Args:
        losses: Inputs `(N, ...)` to the loss of each, `(N,)`, each of its own input alone.
        inputs: `(N, ...)`, valid.
        ball: What may be given.
        steps: Of the ascent, ≥ 1.
        generator: Draws the random point.
        step: In the units of the inputs; None: 2.5 ε / steps, with which every point of the ball can be reached.
    """
    size = _REACH * ball.epsilon / steps if step is None else step
    search = _Search(losses, inputs)
    # Drawn on the CPU, where a seed gives the same numbers whatever the attack runs on.
    start = 2 * torch.rand(inputs.shape, generator=generator) - 1
    point = ball.nearest(inputs + ball.epsilon * start.to(inputs), inputs)
    for _ in range(steps):
        point = ball.nearest(point + size * search.gradient(point).sign(), inputs)
    search.look(point)
    return search.worst


class _Search:
    """The worst points so far.

    Args:
        losses: What is large where a point is bad.
        inputs: The first points.
    """

    def __init__(self, losses: Losses, inputs: Tensor) -> None:
        self._losses = losses
        self.worst = inputs.clone()
        with torch.no_grad():
            self._worst_losses = losses(inputs)

    def gradient(self, points: Tensor) -> Tensor:
        """Return the gradient of the loss at points `(N, ...)`, and remember those that are the worst."""
        asked = points.detach().requires_grad_()
        with torch.enable_grad():
            losses = self._losses(asked)
        (found,) = torch.autograd.grad(losses.sum(), asked)
        self._remember(points, losses.detach())
        return found

    def look(self, points: Tensor) -> None:
        """Remember those of the points `(N, ...)` that are the worst."""
        with torch.no_grad():
            self._remember(points, self._losses(points))

    def _remember(self, points: Tensor, losses: Tensor) -> None:
        worse = losses > self._worst_losses
        self.worst[worse] = points[worse]
        self._worst_losses = torch.maximum(losses, self._worst_losses)
