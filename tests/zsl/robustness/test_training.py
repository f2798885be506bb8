import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgezsl.errors import InputError
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.classifier import WhiteBoxAttack, answers
from edgezsl.zsl.robustness.training import RobustSchedule, _mixed_loss, fit_against, keep_part

WEAK = 20


def world(count=600, seed=0):
    """One strong value that is right in 19 of 20 rows, and many weak ones that are right together and fall to a small ε.

    The example of Tsipras et al., "Robustness may be at odds with accuracy", ICLR 2019, section 2.1.
    """
    random = np.random.RandomState(seed)
    labels = random.randint(0, 2, count)
    signs = 2.0 * labels - 1
    strong = signs * np.where(random.rand(count) < 0.95, 1, -1)
    weak = random.normal(size=(count, WEAK)) + 0.6 * signs[:, None]
    return np.column_stack([strong, weak]).astype(np.float32), labels.astype(np.int64)


def batches(inputs, labels, size=200):
    random = np.random.RandomState(1)

    def draw(_number):
        rows = random.randint(0, len(labels), size)
        return torch.from_numpy(inputs[rows]), torch.from_numpy(labels[rows])

    return draw


def fitted(ball, **settings):
    torch.manual_seed(0)
    classifier = nn.Linear(WEAK + 1, 2)
    schedule = RobustSchedule(**{"steps": 90, "learning_rate": 0.1, "attacked_share": 1.0, **settings})
    steps = list(fit_against(classifier, batches(*world()), ball, schedule, every=40))
    return classifier, steps


def accuracies(classifier, ball):
    inputs, labels = world(seed=5)
    attacked = WhiteBoxAttack(classifier, ball)(inputs, labels)
    return [float((answers(classifier, one) == labels).mean()) for one in (inputs, attacked)]


def test_a_classifier_trained_against_an_attack_withstands_it():
    ball = Ball(0.7)
    plain, robust = (accuracies(fitted(one)[0], ball) for one in (Ball(0.0), ball))
    assert plain[0] > 0.97, "together the weak values are nearly always right"
    assert plain[1] < 0.5
    assert robust[1] > plain[1] + 0.3
    assert robust[0] > 0.9


def test_it_is_told_how_far_training_is():
    steps = fitted(Ball(0.7), attacked_share=0.5)[1]
    assert [step.done for step in steps] == [40, 80, 90]
    assert steps[-1].attacked_loss < steps[0].attacked_loss
    assert all(step.attacked_loss > step.loss for step in steps)


def test_the_same_seed_gives_the_same_weights():
    first, again, other = (
        fitted(Ball(0.3), steps=20, mixup=0.5, attacked_share=0.5, seed=seed)[0].weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_parameters_that_ask_for_a_gradient_are_trained():
    network = nn.Sequential(nn.Linear(WEAK + 1, 8), nn.ReLU(), nn.Linear(8, 2))
    network[0].requires_grad_(False)  # noqa: FBT003  # its only way to be called
    before = [one.detach().clone() for one in network.parameters()]
    list(fit_against(network, batches(*world()), Ball(0.1), RobustSchedule(steps=2)))
    changed = [not torch.equal(one, kept) for one, kept in zip(network.parameters(), before, strict=True)]
    assert changed == [False, False, True, True]
    assert [one.requires_grad for one in network.parameters()] == changed
    assert not network.training


def test_l2_makes_what_is_learned_smaller_and_l1_leaves_the_strong_value_alone():
    free, small, sparse = (
        fitted(Ball(0.0), **one)[0].weight.detach().abs() for one in ({}, {"decay": 2.0}, {"l1": 1.0})
    )
    assert small.sum() < 0.6 * free.sum()
    assert sparse.sum() < 0.6 * free.sum()
    shares = [float(one[:, 1:].mean() / one[:, 0].mean()) for one in (small, sparse)]
    assert shares[1] < shares[0] / 2


def test_the_loss_of_a_mixture_is_the_mean_of_both_labels_losses():
    torch.manual_seed(0)
    classifier, inputs, labels = nn.Linear(4, 3), torch.randn(3, 4), torch.tensor([0, 1, 2])
    expected = torch.zeros(())
    for number, other in ((0, 2), (1, 0), (2, 1)):
        logits = classifier(0.7 * inputs[number] + 0.3 * inputs[other])
        targets = 0.7 * functional.one_hot(labels[number], 3) + 0.3 * functional.one_hot(labels[other], 3)
        expected = expected - (targets * logits.log_softmax(0)).sum() / 3
    torch.testing.assert_close(_mixed_loss(classifier, inputs, labels, 0.7), expected)


@pytest.mark.parametrize("setting", [{"steps": 0}, {"attacked_share": 1.1}, {"mixup": -1.0}])
def test_a_schedule_out_of_range_is_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        RobustSchedule(**setting)


def test_the_largest_part_is_kept_that_is_accurate_enough():
    weight, before = nn.Parameter(torch.tensor([3.0, -1.0])), torch.tensor([1.0, 1.0])
    tried = []

    def accuracy():
        tried.append(weight.tolist())
        return 1 - float(weight[0]) / 10

    part = keep_part({"w": weight}, {"w": before}, accuracy, parts=(1.0, 0.5, 0.25), least=0.8)
    assert part == 0.5
    assert tried == [[3.0, -1.0], [2.0, 0.0]]
    assert weight.tolist() == [2.0, 0.0]
    assert keep_part({"w": weight}, {"w": before}, lambda: 0.0, parts=(1.0, 0.5), least=0.9) == 0.5
    assert weight.tolist() == [1.5, 0.5]
