import math

import torch
from torch import nn

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.zsl.meta.maml import Adaptation, adapted
from edgezsl.zsl.meta.meta_lstm import MetaLstm, MetaLstmSchedule, fit_meta_lstm, optimized_accuracies, preprocessed
from tests.zsl.meta.test_maml import LAW, blobs


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, LAW.ways))


def test_with_gates_that_do_not_move_it_is_gradient_descent():
    net = network()
    optimizer = MetaLstm(net)
    for gate, value in ((optimizer.forget, 50.0), (optimizer.let_in, math.log(0.2 / 0.8))):
        nn.init.zeros_(gate.weight)
        nn.init.constant_(gate.bias, value)  # sigmoids of 1 and of 0.2
    support = blobs().float()[: LAW.ways, : LAW.shots].flatten(0, 1)
    classes = torch.arange(LAW.ways).repeat_interleave(LAW.shots)
    found = optimizer.parameters_of(optimizer.adapted(support, classes, steps=4))
    descent = adapted(net, dict(net.named_parameters()), (support, classes), Adaptation(4, 0.2), second_order=False)
    for name, value in descent.items():
        torch.testing.assert_close(found[name], value)


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
