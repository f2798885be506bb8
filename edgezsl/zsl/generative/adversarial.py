"""Generators that are trained against a network that tells generated features from real ones: GAN-ZSL and f-CLSWGAN.

Both networks have one hidden layer and are conditioned by concatenation, as in section 3 of Xian et al., "Feature generating networks for
zero-shot learning", CVPR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.generative.classifier import fitted_classifier
from edgezsl.zsl.generative.training import descend, normal_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from edgezsl.zsl.generative.training import Batch, GenerativeSchedule, Sizes

_SLOPE = 0.2  # of leaky rectifiers
_BETAS = (0.5, 0.999)  # of Adam
_PRETRAINED_EPOCHS, _PRETRAINED_RATE = 20, 1e-2  # of the classifier of seen classes


class ConditionalGenerator(nn.Module):
    """Conditions `(..., R)` and noise `(..., Z)` to features `(..., F)`.

    Args:
        sizes: Of conditions and features.
        width: Of the hidden layer.
        noise: Z.
    """

    def __init__(self, sizes: Sizes, width: int, noise: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sizes.conditions + noise, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, sizes.features),
        )

    def forward(self, conditions: Tensor, noise: Tensor) -> Tensor:
        """Return features `(..., F)`."""
        result: Tensor = self.layers(torch.cat([conditions, noise], dim=-1))
        return result


class Critic(nn.Module):
    """Features `(N, F)` and conditions `(N, R)` to how real they look `(N,)`, without bounds.

    Args:
        sizes: Of features and conditions.
        width: Of the hidden layer.
    """

    def __init__(self, sizes: Sizes, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sizes.features + sizes.conditions, width), nn.LeakyReLU(_SLOPE), nn.Linear(width, 1)
        )

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        """Return `(N,)`."""
        result: Tensor = self.layers(torch.cat([images, conditions], dim=1))[:, 0]
        return result


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, mix: Tensor) -> Tensor:
    """Return the mean of `(‖∇ critic(x̂)‖ − 1)²` at points x̂ between real and generated rows.

    Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017, equation 3.

    Args:
        critic: Of rows `(N, F)`, returns `(N,)`.
        real: `(N, F)`.
        generated: `(N, F)`.
        mix: `(N, 1)` in [0, 1], the share of the real row.
    """
    between = (mix * real + (1 - mix) * generated).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (slope.norm(dim=1) - 1).square().mean()
    return penalty


def critic_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return minus the critic's estimate of the Wasserstein distance, from what it says of real and of generated rows `(N,)`."""
    return generated.mean() - real.mean()


@dataclass(frozen=True, slots=True)
class WassersteinSettings:
    """What a Wasserstein GAN of features has beside its schedule.

    Attributes:
        critic_steps: Steps of the critic before one of the generator.
        penalty: λ, of the gradient penalty.
        classification: β, of the loss of a classifier of seen classes on generated features.
    """

    critic_steps: int = 5
    penalty: float = 10.0
    classification: float = 0.01


class GanZsl:
    """The plain conditional GAN: binary cross-entropy, and for the generator the form that does not saturate.

    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, algorithm 1; conditioned as GAN-ZSL is in Xian et al., CVPR 2018.

    Args:
        sizes: Of the networks.
        schedule: Of the training.
        random: Of the noise.
    """

    def __init__(self, sizes: Sizes, schedule: GenerativeSchedule, random: torch.Generator) -> None:
        self.generator = ConditionalGenerator(sizes, schedule.width, schedule.noise)
        self.embedder = nn.Identity()
        self._critic = Critic(sizes, schedule.width)
        self._noise, self.random = schedule.noise, random
        self.optimizers = tuple(adam(network, schedule) for network in (self.generator, self._critic))

    def prepare(self, images: Tensor, targets: Tensor) -> None:
        """Learn nothing beforehand."""

    def step(self, batch: Batch) -> None:
        """Take one step of the discriminator, and one of the generator."""
        noise = normal_noise((len(batch.images), self._noise), self.random)
        made = self.generator(batch.conditions, noise)
        descend(
            self.optimizers[1],
            discrimination_loss(
                self._critic(batch.images, batch.conditions), self._critic(made.detach(), batch.conditions)
            ),
        )
        descend(self.optimizers[0], functional.softplus(-self._critic(made, batch.conditions)).mean())


def discrimination_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return the binary cross-entropy of logits `(N,)` of real and of generated rows: `−log σ(real) − log(1 − σ(generated))`."""
    return functional.softplus(-real).mean() + functional.softplus(generated).mean()


class FeatureWgan:
    """f-CLSWGAN: a conditional Wasserstein GAN of features, whose generated ones a classifier of seen classes must recognise.

    Xian et al., "Feature generating networks for zero-shot learning", CVPR 2018, equations 2 to 4.

    Args:
        sizes: Of the networks.
        schedule: Of the training.
        random: Of the noise.
        settings: Of the losses.
    """

    def __init__(
        self, sizes: Sizes, schedule: GenerativeSchedule, random: torch.Generator, settings: WassersteinSettings
    ) -> None:
        self.generator = ConditionalGenerator(sizes, schedule.width, schedule.noise)
        self.embedder = nn.Identity()
        self.critic = Critic(sizes, schedule.width)
        self.settings, self._classes = settings, sizes.classes
        self._noise, self.random = schedule.noise, random
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            adam(self.generator, schedule),
            adam(self.critic, schedule),
        )

    def prepare(self, images: Tensor, targets: Tensor) -> None:
        """Fit the classifier of seen classes on all `images (N, F)` with `targets (N,)`."""
        self.classifier = fitted_classifier(
            images,
            targets,
            weights=torch.ones(self._classes, device=images.device),
            epochs=_PRETRAINED_EPOCHS,
            learning_rate=_PRETRAINED_RATE,
            random=self.random,
        )

    def step(self, batch: Batch) -> None:
        """Take the steps of the critic, and one of the generator."""
        self.step_of_critic(batch)
        descend(self.optimizers[0], self.generator_loss(batch))

    def step_of_critic(self, batch: Batch) -> None:
        """Take the steps of the critic (equation 2)."""
        real, conditions = batch.images, batch.conditions
        for _ in range(self.settings.critic_steps):
            with torch.no_grad():
                made = self.made(batch)
            mix = torch.rand(len(real), 1, generator=self.random, device=real.device)
            said = self.critic(torch.cat([real, made]), torch.cat([conditions, conditions]))
            slope = gradient_penalty(lambda rows: self.critic(rows, conditions), real, made, mix)
            descend(self.optimizers[1], critic_loss(*said.chunk(2)) + self.settings.penalty * slope)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return `−mean critic(x̃) + β CE(x̃)` of generated rows x̃ (equations 3 and 4)."""
        made = self.made(batch)
        recognised = functional.cross_entropy(self.classifier(made), batch.targets)
        loss: Tensor = self.settings.classification * recognised - self.critic(made, batch.conditions).mean()
        return loss

    def made(self, batch: Batch) -> Tensor:
        """Return features `(B, F)` generated from the conditions of a batch."""
        noise = normal_noise((len(batch.conditions), self._noise), self.random)
        result: Tensor = self.generator(batch.conditions, noise)
        return result


def adam(network: nn.Module, schedule: GenerativeSchedule) -> torch.optim.Optimizer:
    """Return the optimizer of an adversarial network."""
    return torch.optim.AdamW(
        network.parameters(), schedule.learning_rate, betas=_BETAS, weight_decay=schedule.decay, fused=True
    )
