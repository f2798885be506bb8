import math

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.zsl.meta.maml import Adaptation, adapted
from edgezsl.zsl.meta.meta_lstm import MetaLstm, MetaLstmSchedule, fit_meta_lstm, optimized_accuracies, preprocessed
from tests.zsl.meta.test_maml import LAW, blobs


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, LAW.ways))


def with_still_gates(net, *, share=0.2, largest_rate=1.0):
    """An optimizer that keeps the weights, and lets in the same share of each gradient."""
    optimizer = MetaLstm(net, largest_rate=largest_rate)
    for gate, value in ((optimizer.forget, 50.0), (optimizer.let_in, math.log(share / (1 - share)))):
        nn.init.zeros_(gate.weight)
        nn.init.constant_(gate.bias, value)
    return optimizer


def task():
    images = blobs().float()[: LAW.ways]
    classes = torch.arange(LAW.ways).repeat_interleave(LAW.shots)
    return (images[:, : LAW.shots].flatten(0, 1), classes), (images[:, -LAW.shots :].flatten(0, 1), classes)


@pytest.mark.parametrize(("share", "largest_rate"), [(0.2, 1.0), (0.02, 10.0)])
def test_with_gates_that_do_not_move_it_is_gradient_descent(share, largest_rate):
    net = network()
    optimizer = with_still_gates(net, share=share, largest_rate=largest_rate)
    support, _ = task()
    found = optimizer.parameters_of(optimizer.adapted(*support, steps=4))
    descent = adapted(net, dict(net.named_parameters()), support, Adaptation(4, 0.2), second_order=False)
    for name, value in descent.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("second_order", [False, True])
def test_with_gates_that_do_not_move_the_start_learns_as_maml_s_does(second_order):
    net = network()
    optimizer = with_still_gates(net)
    support, (images, classes) = task()
    weights = optimizer.adapted(*support, steps=3, second_order=second_order)
    (found,) = torch.autograd.grad(
        functional.cross_entropy(optimizer.logits(weights, images), classes), optimizer.start
    )
    start = dict(net.named_parameters())
    there = adapted(net, start, support, Adaptation(3, 0.2), second_order=second_order)
    loss = functional.cross_entropy(functional_call(net, there, (images,)), classes)
    expected = torch.autograd.grad(loss, list(start.values()))
    torch.testing.assert_close(found, torch.cat([one.flatten() for one in expected]))


def test_the_learned_start_is_the_network_s_own_at_first():
    net = network()
    images = blobs().float()[0]
    assert torch.equal(MetaLstm(net).logits(MetaLstm(net).start, images), net(images))


def test_small_and_large_gradients_can_both_be_told():
    found = preprocessed(torch.tensor([1.0, -math.exp(-5), 0.0, math.exp(-12)]))
    expected = torch.tensor([[0.0, 1.0], [-0.5, -1.0], [-1.0, 0.0], [-1.0, math.exp(-2)]])
    torch.testing.assert_close(found, expected)


def test_training_makes_the_same_number_of_steps_reach_further():
    optimizer = MetaLstm(network())
    images = blobs().float()
    test = Episodes(blobs(seed=5).float(), EpisodeLaw(3, 2, 6), seed=1)
    before = torch.cat([optimized_accuracies(optimizer, test.draw(number, 4), 3) for number in range(10)]).mean()
    told = list(fit_meta_lstm(optimizer, Episodes(images, LAW, seed=0), MetaLstmSchedule(150, 0.02, 3), every=50))
    assert [step.done for step in told] == [50, 100, 150]
    after = torch.cat([optimized_accuracies(optimizer, test.draw(number, 4), 3) for number in range(10)]).mean()
    assert after > before + 0.1
