import pytest
import torch
from torch import nn

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.zsl.meta.maml import Adaptation, MamlSchedule, _task_losses, adapted, adapted_accuracies, fit_maml

LAW = EpisodeLaw(ways=3, shots=2, queries=2)


def blobs(classes=6, each=8, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(classes, 1, dim, generator=generator, dtype=torch.float64)
    return centres + torch.randn(classes, each, dim, generator=generator, dtype=torch.float64)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, LAW.ways)).double()


def meta_gradient(net, *, second_order):
    episode = Episodes(blobs(), LAW, seed=0).draw(0, tasks=3)
    loss, _ = _task_losses(net, episode, Adaptation(3, 0.2), second_order=second_order)
    return torch.cat([one.flatten() for one in torch.autograd.grad(loss.mean(), list(net.parameters()))])


def finite_differences(net, step=1e-6):
    episode = Episodes(blobs(), LAW, seed=0).draw(0, tasks=3)

    def loss():
        return _task_losses(net, episode, Adaptation(3, 0.2), second_order=True)[0].mean().item()

    slopes = []
    for parameter in net.parameters():
        for flat in range(parameter.numel()):
            with torch.no_grad():
                one = parameter.view(-1)[flat : flat + 1]
                one += step
                above = loss()
                one -= 2 * step
                below = loss()
                one += step
            slopes.append((above - below) / (2 * step))
    return torch.tensor(slopes, dtype=torch.float64)


def test_the_second_order_meta_gradient_is_the_slope_of_the_loss_after_adaptation():
    net = network()
    torch.testing.assert_close(meta_gradient(net, second_order=True), finite_differences(net), rtol=1e-6, atol=1e-8)


def test_the_first_order_meta_gradient_is_that_at_the_adapted_weights():
    net = network()
    first = meta_gradient(net, second_order=False)
    episode = Episodes(blobs(), LAW, seed=0).draw(0, tasks=3)
    classes = torch.arange(LAW.ways).repeat_interleave(LAW.shots)
    total = torch.zeros_like(first)
    for support, query in zip(episode.support.flatten(1, 2), episode.query.flatten(1, 2), strict=True):
        there = adapted(net, dict(net.named_parameters()), (support, classes), Adaptation(3, 0.2), second_order=False)
        leaves = {name: value.detach().requires_grad_() for name, value in there.items()}
        loss = nn.functional.cross_entropy(torch.func.functional_call(net, leaves, (query,)), episode.targets())
        total += torch.cat([one.flatten() for one in torch.autograd.grad(loss, list(leaves.values()))]) / 3
    torch.testing.assert_close(first, total)
    assert (first - meta_gradient(net, second_order=True)).abs().max() > 1e-3


@pytest.mark.parametrize("second_order", [True, False])
def test_a_few_steps_reach_further_from_learned_weights(second_order):
    net, test = network(), Episodes(blobs(seed=5), LAW, seed=1)
    adaptation = Adaptation(2, 0.3)
    before = torch.cat([adapted_accuracies(net, test.draw(number, 5), adaptation) for number in range(20)]).mean()
    schedule = MamlSchedule(60, 4, 0.02, adaptation, second_order=second_order)
    told = list(fit_maml(net, Episodes(blobs(), LAW, seed=0), schedule, every=25))
    assert [step.done for step in told] == [25, 50, 60]
    after = torch.cat([adapted_accuracies(net, test.draw(number, 5), adaptation) for number in range(20)]).mean()
    assert after > before + 0.1


def test_adaptation_leaves_the_first_weights_as_they_were():
    net = network()
    before = [value.clone() for value in net.parameters()]
    adapted_accuracies(net, Episodes(blobs(), LAW, seed=0).draw(0), Adaptation(3, 0.5))
    assert all(torch.equal(was, now) for was, now in zip(before, net.parameters(), strict=True))
