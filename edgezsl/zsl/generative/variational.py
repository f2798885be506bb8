"""Autoencoders with a normal distribution in the middle: CADA-VAE, and f-VAEGAN-D2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgezsl.zsl.generative.adversarial import FeatureWgan, WassersteinSettings, adam
from edgezsl.zsl.generative.training import descend, normal_noise

if TYPE_CHECKING:
    from torch import Tensor

    from edgezsl.zsl.generative.training import Batch, GenerativeSchedule, Sizes

_WIDEST = 10.0  # log σ² beyond which a code is noise or a point


class Encoder(nn.Module):
    """Rows `(N, I)` to the mean and the logarithm of the variance of their codes, `(N, Z)` each.

    Args:
        width: I.
        hidden: Of the hidden layer.
        code: Z.
    """

    def __init__(self, width: int, hidden: int, code: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2 * code))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance."""
        mean, log_variance = self.layers(rows).chunk(2, dim=-1)
        return mean, log_variance.clamp(-_WIDEST, _WIDEST)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return `KL(N(μ, σ²) ‖ N(0, 1))` of codes `(N, Z)`, the sum over Z, in nats `(N,)`.

    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2


def drawn(code: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    """Return points `μ + σ noise` of a code, given as mean and log variance, of the shape of `noise`."""
    mean, log_variance = code
    return mean + (log_variance / 2).exp() * noise


def alignment(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """Return the 2-Wasserstein distance of normal distributions `(N,)`, given as mean and log variance `(N, Z)`.

    Schoenfeld et al., CVPR 2019, equation 6.
    """
    means = (first[0] - second[0]).square().sum(-1)
    spreads = ((first[1] / 2).exp() - (second[1] / 2).exp()).square().sum(-1)
    return (means + spreads).clamp_min(torch.finfo(means.dtype).tiny).sqrt()


class CodeGenerator(nn.Module):
    """Conditions `(..., R)` and noise `(..., Z)` to codes `(..., Z)` of a class."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, conditions: Tensor, noise: Tensor) -> Tensor:
        """Return codes `(..., Z)`."""
        return drawn(self.encoder(conditions), noise)


class MeanCode(nn.Module):
    """Images `(N, F)` to the means `(N, Z)` of their codes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Return means `(N, Z)`."""
        mean: Tensor = self.encoder(images)[0]
        return mean


@dataclass(frozen=True, slots=True)
class AlignedSettings:
    """What CADA-VAE has beside its schedule, each weight at its full size, which it reaches by and by.

    Attributes:
        divergence: β, of the divergence from a standard normal distribution.
        crossing: γ, of reconstructions of each from the code of the other.
        alignment: δ, of the distance of both codes.
    """

    divergence: float = 0.25
    crossing: float = 2.37
    alignment: float = 8.13


class AlignedAutoencoders:
    """CADA-VAE: an autoencoder of images and one of descriptions, whose codes are brought together.

    Schoenfeld et al., "Generalized zero- and few-shot learning via aligned variational autoencoders", CVPR 2019, equations 3 to 7.
    What it generates are codes: an image is embedded by the mean of its code.

    Args:
        sizes: Of the networks.
        schedule: Of the training.
        random: Of the noise.
        settings: Of the losses.
    """

    def __init__(
        self, sizes: Sizes, schedule: GenerativeSchedule, random: torch.Generator, settings: AlignedSettings
    ) -> None:
        widths, code = (sizes.features, sizes.conditions), schedule.noise
        self.encoders = [Encoder(width, schedule.width, code) for width in widths]
        self.decoders = [
            nn.Sequential(nn.Linear(code, schedule.width), nn.ReLU(), nn.Linear(schedule.width, width))
            for width in widths
        ]
        self.generator, self.embedder = CodeGenerator(self.encoders[1]), MeanCode(self.encoders[0])
        self.settings, self.random = settings, random
        parameters = nn.ModuleList([*self.encoders, *self.decoders]).parameters()
        self.optimizers = (
            torch.optim.AdamW(parameters, schedule.learning_rate, weight_decay=schedule.decay, amsgrad=True),
        )

    def prepare(self, images: Tensor, targets: Tensor) -> None:
        """Learn nothing beforehand."""

    def step(self, batch: Batch) -> None:
        """Take one step of all four networks."""
        descend(self.optimizers[0], self.loss(batch))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch (equation 7)."""
        both = (batch.images, batch.conditions)
        codes = [encoder(rows) for encoder, rows in zip(self.encoders, both, strict=True)]
        points = [drawn(code, normal_noise(code[0].shape, self.random)) for code in codes]
        own = crossed = torch.zeros(())
        for kind, decoder in enumerate(self.decoders):
            own = own + (decoder(points[kind]) - both[kind]).abs().sum(1).mean()
            crossed = crossed + (decoder(points[1 - kind]) - both[kind]).abs().sum(1).mean()
        spread = sum((divergence(*code).mean() for code in codes), torch.zeros(()))
        beta, gamma, delta = self.weights(batch.progress)
        return own + beta * spread + gamma * crossed + delta * alignment(*codes).mean()

    def weights(self, progress: float) -> tuple[float, float, float]:
        """Return β, γ and δ: each rises in a line, over epochs 0 to 93, 21 to 75 and 6 to 22 of 100 (section 4)."""

        def risen(start: float, end: float) -> float:
            return min(max((progress - start) / (end - start), 0.0), 1.0)

        full = self.settings
        return (
            full.divergence * risen(0.0, 0.93),
            full.crossing * risen(0.21, 0.75),
            full.alignment * risen(0.06, 0.22),
        )


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """What f-VAEGAN-D2 has beside its schedule.

    Attributes:
        critic_steps: Steps of the critic before one of the generator.
        penalty: λ, of the gradient penalty.
        adversary: γ, of the critic against the autoencoder.
        precision: Of a feature around its reconstruction: 1 / σ².
    """

    critic_steps: int = 1
    penalty: float = 10.0
    adversary: float = 10.0
    precision: float = 20.0


class SharedGenerator(FeatureWgan):
    """f-VAEGAN-D2, inductive: the decoder of an autoencoder and the generator of a Wasserstein GAN are one network.

    Xian et al., "f-VAEGAN-D2: a feature generating framework for any-shot learning", CVPR 2019, equations 1, 4 and 5. The
    likelihood of a feature is normal, as features here are not confined to [0, 1] as cross-entropy wants it.

    Args:
        sizes: Of the networks.
        schedule: Of the training.
        random: Of the noise.
        settings: Of the losses.
    """

    def __init__(
        self, sizes: Sizes, schedule: GenerativeSchedule, random: torch.Generator, settings: SharedSettings
    ) -> None:
        super().__init__(
            sizes, schedule, random, WassersteinSettings(settings.critic_steps, settings.penalty, classification=0.0)
        )
        self._shared = settings
        self.encoder = Encoder(sizes.features + sizes.conditions, schedule.width, schedule.noise)
        self.optimizers = (*self.optimizers, adam(self.encoder, schedule))

    def prepare(self, images: Tensor, targets: Tensor) -> None:
        """Learn nothing beforehand."""

    def step(self, batch: Batch) -> None:
        """Take the steps of the critic, and one of generator and encoder together."""
        self.step_of_critic(batch)
        self.optimizers[2].zero_grad(set_to_none=True)
        descend(self.optimizers[0], self.generator_loss(batch))
        self.optimizers[2].step()

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return the loss of the autoencoder, less γ times what the critic says of generated rows."""
        code = self.encoder(torch.cat([batch.images, batch.conditions], dim=1))
        noise = normal_noise(code[0].shape, self.random)
        again = self.generator(batch.conditions, drawn(code, noise))
        missed = self._shared.precision / 2 * (again - batch.images).square().sum(1).mean()
        fooled = self.critic(self.made(batch), batch.conditions).mean()
        loss: Tensor = missed + divergence(*code).mean() - self._shared.adversary * fooled
        return loss
