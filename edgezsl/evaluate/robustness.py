"""What an attack leaves of an accuracy, and how sure that is. Attacks and models are callables here: arrays go in, arrays come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from edgezsl.errors import InputError
from edgezsl.evaluate.intervals import share_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.evaluate.intervals import Interval

    Inputs: TypeAlias = NDArray[np.float32]
    Labels: TypeAlias = NDArray[np.int64]
    Answer: TypeAlias = Callable[[Inputs], Labels]
    InputAttack: TypeAlias = Callable[[Inputs, Labels], Inputs]

BATCH = 64


@dataclass(frozen=True, slots=True)
class RobustAccuracy:
    """What is right of the inputs that were looked at so far.

    Attributes:
        done: How many inputs were looked at.
        total: How many there are.
        clean_right: How many of those that were are right as they are.
        robust_right: How many are right as they are, and after the attack.
    """

    done: int
    total: int
    clean_right: int
    robust_right: int

    @property
    def clean(self) -> Interval:
        """The accuracy without an attack, in [0, 1], with Wilson's interval."""
        return share_interval(self.clean_right, self.done)

    @property
    def robust(self) -> Interval:
        """The accuracy under attack, in [0, 1], with Wilson's interval."""
        return share_interval(self.robust_right, self.done)


def robust_accuracy(
    answer: Answer, attack: InputAttack, inputs: Inputs, labels: Labels, *, batch: int = BATCH
) -> Iterator[RobustAccuracy]:
    """Attack inputs, and yield after each batch how many are still right; the last one is the result.

    An input that is wrong as it is needs no attack: it counts as wrong, as in Croce and Hein, "Reliable evaluation of adversarial
    robustness with an ensemble of diverse parameter-free attacks", ICML 2020.

    Args:
        answer: Inputs `(N, ...)` to classes `(N,)`: of what is judged, which need not be what is attacked.
        attack: Inputs and their labels to inputs of the same shape.
        inputs: `(N, ...)`, N ≥ 1.
        labels: `(N,)`.
        batch: Inputs attacked at once.

    Raises:
        InputError: When there is nothing to attack, or not one label for each input.
    """
    if not len(inputs) or len(inputs) != len(labels):
        message = f"{len(inputs)} inputs with {len(labels)} labels are attacked"
        raise InputError(message, code="nothing_to_judge", expected="one label for each input, and at least one")
    clean = robust = done = 0
    for start in range(0, len(inputs), batch):
        part, wanted = inputs[start : start + batch], labels[start : start + batch]
        right = answer(part) == wanted
        clean += int(right.sum())
        if right.any():
            part, wanted = part[right], wanted[right]
            robust += int((answer(attack(part, wanted)) == wanted).sum())
        done += len(right)
        yield RobustAccuracy(done, len(inputs), clean, robust)
