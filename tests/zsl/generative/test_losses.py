import math

import pytest
import torch
from torch.nn import functional

from edgezsl.zsl.generative.adversarial import (
    FeatureWgan,
    WassersteinSettings,
    critic_loss,
    discrimination_loss,
    gradient_penalty,
)
from edgezsl.zsl.generative.classifier import fitted_classifier
from edgezsl.zsl.generative.training import Batch, GenerativeSchedule, Sizes
from edgezsl.zsl.generative.variational import (
    AlignedAutoencoders,
    AlignedSettings,
    SharedGenerator,
    SharedSettings,
    alignment,
    divergence,
    drawn,
)

SIZES = Sizes(features=3, conditions=2, classes=2)
SCHEDULE = GenerativeSchedule(width=4, noise=2)


def batch(progress=0.0):
    random = torch.Generator().manual_seed(3)
    images, conditions = torch.randn(5, 3, generator=random), torch.randn(5, 2, generator=random)
    return Batch(images, conditions, torch.tensor([0, 1, 0, 1, 1]), progress)


def random(seed=7):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("weights", [[3.0, 4.0], [0.6, 0.8], [0.0, 0.1]])
def test_the_gradient_penalty_of_a_linear_critic_is_the_squared_distance_of_its_norm_from_1(weights):
    w = torch.tensor(weights, requires_grad=True)
    found = gradient_penalty(lambda rows: rows @ w + 5, torch.randn(6, 2), torch.randn(6, 2), torch.rand(6, 1))
    norm = math.hypot(*weights)
    assert found.item() == pytest.approx((norm - 1) ** 2, abs=1e-6)
    torch.autograd.backward(found)
    expected = [2 * (norm - 1) * one / norm for one in weights]
    assert w.grad.tolist() == pytest.approx(expected, abs=1e-5), "of (|w| - 1)^2 by w"


def test_the_gradient_penalty_is_measured_between_a_real_and_a_generated_row():
    """Of a critic |x|^2 / 2 the slope is x itself: at a quarter of the way from (8, 0) to (0, 4) it is (6, 1)."""
    real, generated = torch.tensor([[8.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    found = gradient_penalty(lambda rows: rows.square().sum(1) / 2, real, generated, torch.tensor([[0.75]]))
    assert found.item() == pytest.approx((math.sqrt(37) - 1) ** 2, rel=1e-5)


def test_the_critic_loses_what_it_says_of_generated_rows_less_what_it_says_of_real_ones():
    assert critic_loss(torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.5])).item() == pytest.approx(-0.25 - 2)


def test_the_discriminator_of_the_plain_network_loses_the_binary_cross_entropy():
    real, generated = torch.tensor([0.3, -2.0]), torch.tensor([1.5, 0.0])
    labels = torch.tensor([1.0, 1.0, 0.0, 0.0])
    expected = 2 * functional.binary_cross_entropy(torch.sigmoid(torch.cat([real, generated])), labels)
    assert discrimination_loss(real, generated).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_generator_of_f_clswgan_loses_minus_the_critic_and_its_share_of_the_classification():
    settings, given = WassersteinSettings(classification=0.7), batch()
    model = FeatureWgan(SIZES, SCHEDULE, random(), settings)
    model.prepare(given.images, given.targets)
    weight, bias = model.classifier.weight, model.classifier.bias
    state = model.random.get_state()
    found = model.generator_loss(given).item()
    model.random.set_state(state)
    made = model.made(given).detach()
    said = [
        model.critic(row[None], condition[None]).item() for row, condition in zip(made, given.conditions, strict=True)
    ]
    lost = 0.0
    for row, target in zip(made, given.targets.tolist(), strict=True):
        logits = [float(weight[k] @ row + bias[k]) for k in (0, 1)]
        lost += math.log(sum(math.exp(logit) for logit in logits)) - logits[target]
    assert found == pytest.approx(-sum(said) / 5 + 0.7 * lost / 5, rel=1e-4)


def test_the_critic_finds_the_slope_that_its_loss_and_its_penalty_agree_on():
    """Of points that are 2 apart a critic of slope a loses `-2 a + 10 (a - 1)^2`: least at a = 1.1."""
    schedule = GenerativeSchedule(width=16, learning_rate=0.01)
    model = FeatureWgan(SIZES, schedule, random(), WassersteinSettings(critic_steps=300))
    for parameter in model.generator.parameters():
        torch.nn.init.zeros_(parameter)
    real, condition = torch.tensor([[2.0, 0.0, 0.0]] * 16), torch.zeros(16, 2)
    model.step_of_critic(Batch(real, condition, torch.zeros(16, dtype=torch.int64), 0.0))
    with torch.no_grad():
        ahead = model.critic(real, condition) - model.critic(0 * real, condition)
    assert ahead.mean().item() == pytest.approx(2 * 1.1, rel=0.05)


def test_the_divergence_is_that_of_its_definition_by_sampling_and_by_hand():
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, math.log(0.25)]])
    by_hand = 0.25 / 2 + (1.0 + 0.25 - 1 - math.log(0.25)) / 2
    assert divergence(mean, log_variance).item() == pytest.approx(by_hand, rel=1e-6)
    points = drawn((mean, log_variance), torch.randn(200_000, 2, generator=random()))
    own = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(points).sum(1)
    sampled = own - torch.distributions.Normal(0.0, 1.0).log_prob(points).sum(1)
    assert abs(sampled.mean().item() - by_hand) < 4 * sampled.std().item() / math.sqrt(len(points))


def test_the_distance_of_two_codes_is_that_of_optimal_transport():
    """Of normal distributions on a line, quantile goes to quantile: the mean squared way is found by sorting samples."""
    first, second = (
        (torch.tensor([[1.0]]), torch.tensor([[0.0]])),
        (torch.tensor([[3.0]]), torch.tensor([[math.log(4)]])),
    )
    quantiles = torch.special.ndtri((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    by_quantiles = ((1 + quantiles) - (3 + 2 * quantiles)).square().mean().sqrt()
    assert alignment(first, second).item() == pytest.approx(by_quantiles.item(), rel=1e-3)
    assert alignment(first, first).item() == pytest.approx(0, abs=1e-6)


def test_the_weights_of_cada_vae_rise_as_in_its_paper():
    model = AlignedAutoencoders(SIZES, SCHEDULE, random(), AlignedSettings())
    assert model.weights(0.0) == (0.0, 0.0, 0.0)
    assert model.weights(0.5) == pytest.approx((0.0026 * 50, 0.044 * (50 - 21), 8.13), rel=0.05)
    assert model.weights(0.95) == (0.25, 2.37, 8.13)


def test_the_loss_of_cada_vae_is_the_sum_of_its_parts():
    model, given = AlignedAutoencoders(SIZES, SCHEDULE, random(), AlignedSettings()), batch(0.5)
    state = model.random.get_state()
    found = model.loss(given).item()
    model.random.set_state(state)
    image, text = model.encoders[0](given.images), model.encoders[1](given.conditions)
    z, t = (drawn(code, torch.randn(5, 2, generator=model.random)) for code in (image, text))

    def missed(decoder, code, target):
        return (model.decoders[decoder](code) - target).abs().sum(1).mean()

    beta, gamma, delta = model.weights(0.5)
    expected = missed(0, z, given.images) + missed(1, t, given.conditions)
    expected = expected + gamma * (missed(0, t, given.images) + missed(1, z, given.conditions))
    expected = expected + beta * (divergence(*image) + divergence(*text)).mean() + delta * alignment(image, text).mean()
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_of_f_vaegan_is_that_of_a_normal_likelihood_and_of_the_critic():
    """Up to its constant, minus the logarithm of a normal density around the reconstruction; and the divergence, and the critic."""
    settings, given = SharedSettings(adversary=2.0, precision=3.0), batch()
    model = SharedGenerator(SIZES, SCHEDULE, random(), settings)
    state = model.random.get_state()
    found = model.generator_loss(given).item()
    model.random.set_state(state)
    code = model.encoder(torch.cat([given.images, given.conditions], dim=1))
    again = model.generator(given.conditions, drawn(code, torch.randn(5, 2, generator=model.random)))
    density = torch.distributions.Normal(again, 3.0**-0.5)
    missed = (density.log_prob(again) - density.log_prob(given.images)).sum(1)
    said = model.critic(model.made(given), given.conditions)
    assert found == pytest.approx((missed + divergence(*code) - 2 * said).mean().item(), rel=1e-5)


def test_both_networks_of_the_autoencoder_learn_from_one_step():
    model, given = SharedGenerator(SIZES, SCHEDULE, random(), SharedSettings()), batch()
    before = [network.state_dict() for network in (model.generator, model.encoder, model.critic)]
    before = [{name: value.clone() for name, value in one.items()} for one in before]
    model.step(given)
    for network, was in zip((model.generator, model.encoder, model.critic), before, strict=True):
        assert any(not torch.equal(value, was[name]) for name, value in network.state_dict().items())


def test_a_weight_is_worth_as_many_rows():
    """A class whose rows count thrice and one whose rows are there thrice lead to one classifier."""
    generator = random()
    images, targets = torch.randn(40, 3, generator=generator), torch.arange(40) % 2
    tripled = torch.cat([images, images[targets == 1], images[targets == 1]])
    labels = torch.cat([targets, torch.ones(40, dtype=torch.int64)])
    settings = {"epochs": 300, "learning_rate": 0.1}
    weighted = fitted_classifier(images, targets, weights=torch.tensor([1.0, 3.0]), random=random(), **settings)
    repeated = fitted_classifier(tripled, labels, weights=torch.ones(2), random=random(), **settings)
    assert torch.allclose(weighted.weight, repeated.weight, atol=0.02)
    assert torch.allclose(weighted.bias, repeated.bias, atol=0.02)
