import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.evaluate.robustness import robust_accuracy


def sign(inputs):
    return (inputs[:, 0] > 0).astype(np.int64)


def pushed(inputs, labels):
    """One step of 0.5 towards the other class."""
    return inputs - 0.5 * (2 * labels[:, None] - 1).astype(np.float32)


INPUTS = np.array([[0.2], [0.9], [-0.3], [-2.0], [1.0], [-1.0]], np.float32)
LABELS = np.array([1, 1, 0, 0, 0, 1])  # the last two are wrong as they are


def test_what_is_right_before_and_after_an_attack_is_counted():
    steps = list(robust_accuracy(sign, pushed, INPUTS, LABELS, batch=4))
    assert [(step.done, step.clean_right, step.robust_right) for step in steps] == [(4, 4, 2), (6, 4, 2)]
    assert steps[-1].total == 6
    assert steps[-1].clean.value == pytest.approx(4 / 6)
    assert steps[-1].robust.value == pytest.approx(2 / 6)
    assert 0 < steps[-1].robust.low < 2 / 6 < steps[-1].robust.high < 1


def test_what_is_wrong_as_it_is_is_not_attacked_and_cannot_become_right():
    seen = []

    def kind(inputs, labels):
        seen.extend(inputs[:, 0].tolist())
        return inputs + 9 * (2 * labels[:, None] - 1)

    *_, last = robust_accuracy(sign, kind, INPUTS, LABELS)
    assert seen == pytest.approx(INPUTS[:4, 0].tolist())
    assert last.robust_right == last.clean_right == 4


def test_a_batch_with_nothing_right_is_not_attacked():
    def refuse(inputs, labels):
        raise AssertionError

    *_, last = robust_accuracy(sign, refuse, INPUTS[4:], LABELS[4:])
    assert (last.clean_right, last.robust_right) == (0, 0)


@pytest.mark.parametrize(("inputs", "labels"), [(INPUTS[:0], LABELS[:0]), (INPUTS, LABELS[:2])])
def test_nothing_to_attack_is_refused(inputs, labels):
    with pytest.raises(InputError, match="one label"):
        next(robust_accuracy(sign, pushed, inputs, labels))
