from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.errors import InputError
from edgezsl.zsl.robustness.attacks import Ball, fgsm, pgd


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed))


def bent(points):
    """A loss with hills and valleys between 0 and 1."""
    return torch.sin(40 * points).sum(1) + (points**2).sum(1)


def attacks(ball):
    return {
        "fgsm": lambda losses, inputs: fgsm(losses, inputs, ball),
        "pgd": lambda losses, inputs: pgd(losses, inputs, ball, steps=7, generator=seeded()),
        "pgd with a long step": lambda losses, inputs: pgd(losses, inputs, ball, steps=3, generator=seeded(), step=1.0),
    }


@pytest.mark.parametrize("name", attacks(Ball(0)))
@given(epsilon=st.floats(0, 0.7), seed=st.integers(0, 100))
def test_an_attack_stays_in_the_ball_and_in_the_range_and_the_loss_never_falls(name, epsilon, seed):
    inputs = torch.rand((6, 5), generator=seeded(seed))
    found = attacks(Ball(epsilon, 0.0, 1.0))[name](bent, inputs)
    assert float((found - inputs).abs().max()) <= epsilon + 1e-6
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert (bent(found) >= bent(inputs)).all()


def test_one_step_on_a_linear_score_is_as_bad_as_the_worst_corner():
    """In four dimensions the worst point of a ball is one of sixteen corners, cut off where the range ends."""
    weight, inputs, ball = normal(4), torch.rand((8, 4), generator=seeded(1)), Ball(0.2, 0.0, 1.0)
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=4)))
    corners = (inputs[:, None] + ball.epsilon * signs).clamp(0, 1)
    worst = (corners @ weight).amax(1)

    def losses(points):
        return points @ weight

    torch.testing.assert_close(losses(fgsm(losses, inputs, ball)), worst)
    torch.testing.assert_close(losses(pgd(losses, inputs, ball, steps=10, generator=seeded())), worst)


def test_the_cross_entropy_of_a_linear_classifier_of_two_classes_is_the_closed_form():
    """log(1 + exp(-(margin - ε · sum of |w0 - w1|))): Goodfellow et al., section 5."""
    weights, inputs, epsilon = normal(2, 9), normal(5, 9, seed=1), 0.1
    labels = torch.zeros(5, dtype=torch.int64)

    def losses(points):
        return torch.nn.functional.cross_entropy(points @ weights.T, labels, reduction="none")

    difference = weights[0] - weights[1]
    expected = torch.log1p(torch.exp(-(inputs @ difference - epsilon * difference.abs().sum())))
    torch.testing.assert_close(losses(fgsm(losses, inputs, Ball(epsilon))), expected)


def test_many_steps_find_a_hill_that_one_step_jumps_over():
    inputs, ball = torch.zeros(1, 1), Ball(1.0)

    def hill(points):
        return -(points[:, 0] - 0.3).abs()

    assert float(fgsm(hill, inputs, ball)) == 0, "the step to 1 is worse for the attacker than none"
    assert float(pgd(hill, inputs, ball, steps=50, generator=seeded())) == pytest.approx(0.3, abs=0.05)


def test_the_step_reaches_the_far_side_of_the_ball_from_wherever_it_starts():
    inputs = torch.zeros(64, 3)
    found = pgd(lambda points: points.sum(1), inputs, Ball(0.5), steps=4, generator=seeded())
    torch.testing.assert_close(found, torch.full((64, 3), 0.5))


def test_the_start_depends_on_the_seed_and_on_nothing_else():
    inputs, ball = torch.rand((6, 5), generator=seeded()), Ball(0.05)
    first, again, other = (pgd(bent, inputs, ball, steps=1, generator=seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_ball_without_a_radius_holds_the_input_alone():
    inputs = torch.rand((6, 5), generator=seeded())
    for attack in attacks(Ball(0.0)).values():
        assert torch.equal(attack(bent, inputs), inputs)


def test_an_attack_leaves_its_inputs_and_the_weights_alone():
    inputs = torch.rand((6, 5), generator=seeded())
    kept, layer = inputs.clone(), torch.nn.Linear(5, 1)
    pgd(lambda points: layer(points)[:, 0], inputs, Ball(0.1), steps=2, generator=seeded())
    assert torch.equal(inputs, kept)
    assert layer.weight.grad is None


def test_levels_are_of_255_between_black_and_white():
    assert Ball.of_levels(2) == Ball(2 / 255, 0.0, 1.0)


@pytest.mark.parametrize("values", [(-0.1,), (np.nan,), (0.1, 1.0, 0.0)])
def test_an_empty_ball_is_refused(values):
    with pytest.raises(InputError, match="epsilon"):
        Ball(*values)
