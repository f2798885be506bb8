"""Training against an attack: what is learned is learned on the worst inputs near those that are there.

Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, equation 2.1: the least mean of the largest
loss in a ball around each input. Beside it what keeps a small training set from being learned by heart: dropout in the classifier,
L1 and L2 of what is learned, and mixtures of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgezsl.errors import InputError
from edgezsl.zsl.robustness.classifier import WhiteBoxAttack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from edgezsl.zsl.robustness.attacks import Ball

    Draw = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class RobustSchedule:
    """How long, how fast, and against what.

    Attributes:
        steps: Of AdamW, one batch each.
        learning_rate: The first, falling to 0 by half a cosine.
        attacked_share: Of the loss that is of attacked inputs, in [0, 1]; the rest is of inputs as they are.
        attack_steps: Of PGD on a batch.
        mixup: Both parameters of the Beta distribution by which inputs that are not attacked are mixed in pairs, with their labels; 0:
            none are. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018, equation 1.
        l1: Weight of the mean absolute value of what is learned.
        decay: Of what is learned (AdamW): L2.
        seed: Of everything that is drawn here.

    Raises:
        InputError: When one of them is out of range.
    """

    steps: int = 500
    learning_rate: float = 1e-3
    attacked_share: float = 0.5
    attack_steps: int = 5
    mixup: float = 0.0
    l1: float = 0.0
    decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "steps": 1,
            "attack_steps": 1,
            "learning_rate": 0,
            "mixup": 0,
            "l1": 0,
            "decay": 0,
            "attacked_share": 0,
        }
        wrong = [name for name, low in least.items() if getattr(self, name) < low]
        if wrong or self.attacked_share > 1:
            name = wrong[0] if wrong else "attacked_share"
            message = f"{name} is {getattr(self, name)}"
            raise InputError(message, code="bad_setting", expected="steps ≥ 1, a share in [0, 1], others ≥ 0")


@dataclass(frozen=True, slots=True)
class RobustStep:
    """How far training is.

    Attributes:
        done: Steps made.
        total: Of the schedule.
        loss: Of inputs as they are, mean since the last step that was told.
        attacked_loss: Of attacked inputs; 0 where none are.
    """

    done: int
    total: int
    loss: float
    attacked_loss: float


def fit_against(
    classifier: nn.Module, draw: Draw, ball: Ball, schedule: RobustSchedule, *, every: int = 10
) -> Iterator[RobustStep]:
    """Train those parameters of a classifier that ask for a gradient, in place; yield every `every` steps.

    Args:
        classifier: Inputs to logits `(N, K)`.
        draw: Gives inputs `(N, ...)` and labels `(N,)` of a step, by its number from 0.
        ball: What the attack may give; a radius of 0 trains without one.
        schedule: The schedule.
        every: How often it is told how far it is.
    """
    learned = [one for one in classifier.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, schedule.learning_rate, weight_decay=schedule.decay)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    random = np.random.default_rng(schedule.seed)
    attack = WhiteBoxAttack(classifier, ball, steps=schedule.attack_steps, seed=schedule.seed)
    share = schedule.attacked_share if ball.epsilon > 0 else 0.0
    torch.manual_seed(schedule.seed)  # of dropout
    told: list[tuple[float, float]] = []
    for number in range(schedule.steps):
        inputs, labels = draw(number)
        worst = _attacked(attack, learned, inputs, labels) if share > 0 else inputs
        classifier.train()
        clean = _mixed_loss(classifier, inputs, labels, _mixture(random, schedule.mixup))
        bad = functional.cross_entropy(classifier(worst), labels) if share > 0 else torch.zeros(())
        small = torch.stack([one.abs().mean() for one in learned]).sum()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward((1 - share) * clean + share * bad + schedule.l1 * small)
        optimizer.step()
        rates.step()
        told.append((float(clean.detach()), float(bad.detach())))
        if (number + 1) % every == 0 or number + 1 == schedule.steps:
            loss, attacked_loss = np.mean(told, axis=0).tolist()
            told.clear()
            yield RobustStep(number + 1, schedule.steps, loss, attacked_loss)
    classifier.eval()


def _attacked(attack: WhiteBoxAttack, learned: list[nn.Parameter], inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the worst inputs for the classifier as it is; its parameters ask for no gradient meanwhile, which costs as much again."""
    attack.classifier.eval()
    for one in learned:
        one.requires_grad = False
    worst = attack.attacked(inputs, labels)
    for one in learned:
        one.requires_grad = True
    return worst


def _mixture(random: np.random.Generator, alpha: float) -> float:
    return float(random.beta(alpha, alpha)) if alpha > 0 else 1.0


def _mixed_loss(classifier: nn.Module, inputs: Tensor, labels: Tensor, part: float) -> Tensor:
    """Return the loss of `part` of each input mixed with the rest of its neighbour in the batch, which was drawn at random."""
    if part == 1.0:
        return functional.cross_entropy(classifier(inputs), labels)
    logits = classifier(part * inputs + (1 - part) * inputs.roll(1, 0))
    own, other = functional.cross_entropy(logits, labels), functional.cross_entropy(logits, labels.roll(1, 0))
    return part * own + (1 - part) * other


@torch.no_grad()
def keep_part(
    learned: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    accuracy: Callable[[], float],
    *,
    parts: Sequence[float],
    least: float,
) -> float:
    """Go back, in place, from what was learned towards what was there, until an accuracy is reached; return the part that was kept.

    What lies between two trained models on a straight line does both of their tasks: Wortsman et al., "Robust fine-tuning of zero-shot
    models", CVPR 2022, equation 1.

    Args:
        learned: What was learned, by name: changed here.
        before: The same before it was trained.
        accuracy: Gives the accuracy with what `learned` holds now; on images that nothing is judged by.
        parts: To try, the largest first, in [0, 1].
        least: What the accuracy must be; if no part reaches it, the last one stays.
    """
    after = {name: one.detach().clone() for name, one in learned.items()}
    for part in parts:
        for name, one in learned.items():
            one.copy_(before[name] + part * (after[name] - before[name]))
        if accuracy() >= least:
            return part
    return parts[-1]
