"""Images generated from noise, and what the network that tells them from real ones has learned to see.

Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks",
ICLR 2016: the discriminator's maps describe an image (section 5.1). So class prototypes are means of them, and a device runs the
discriminator as its image encoder. With classes it is an AC-GAN (Odena, Olah and Shlens, "Conditional image synthesis with auxiliary
classifier GANs", ICML 2017): the generator is told a class, the discriminator tells it. With all images in one class it is the first paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.generative.adversarial import discrimination_loss
from edgezsl.zsl.generative.training import descend
from edgezsl.zsl.meta.prototypical import meta_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from edgezsl.zsl.meta.prototypical import MetaStep

_SLOPE = 0.2  # of leaky rectifiers
_BETAS = (0.5, 0.999)  # of Adam
_GRID = 4  # cells along each side of the last maps
_FIRST = 7  # pixels along each side of the generator's first maps


@dataclass(frozen=True, slots=True)
class ImageGanSchedule:
    """How the two networks are trained.

    Attributes:
        steps: Of either network.
        batch: Real images in a step, and as many generated ones.
        learning_rate: Of Adam.
        seed: Of the order of images, and of all noise.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 1e-3
    seed: int = 0


class ImageGenerator(nn.Module):
    """Noise `(N, Z)` and classes `(N,)` to grey images `(N, 1, 28, 28)` in [0, 1].

    Args:
        classes: C, which they are chosen from.
        noise: Z; a class is as many learned numbers beside it.
        channels: Of the maps before the image; twice as many before those.
    """

    def __init__(self, classes: int, *, noise: int = 64, channels: int = 32) -> None:
        super().__init__()
        self.noise = noise
        self.classes = nn.Embedding(classes, noise)
        self.layers = nn.Sequential(
            nn.Linear(2 * noise, 2 * channels * _FIRST**2, bias=False),
            nn.Unflatten(1, (2 * channels, _FIRST, _FIRST)),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        """Return images `(N, 1, 28, 28)`."""
        result: Tensor = self.layers(torch.cat([noise, self.classes(classes)], dim=1))
        return result


class ImageDiscriminator(nn.Module):
    """Grey images `(N, 1, 28, 28)` to how real they look `(N,)` and of which class `(N, C)`, as logits.

    Args:
        classes: C.
        channels: Of the first maps; each layer has twice as many, and half as many pixels along each side.
    """

    def __init__(self, classes: int, *, channels: int = 32) -> None:
        super().__init__()
        widths = (1, channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.BatchNorm2d(outputs) if inputs > 1 else nn.Identity(),  # not where images enter: section 3
                nn.LeakyReLU(_SLOPE),
            )
            for inputs, outputs in pairwise(widths)
        )
        self.real, self.classes = (nn.Linear(widths[-1] * _GRID**2, outputs) for outputs in (1, classes))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps `(N, channels, S, S)` of each layer but the last."""
        found: list[Tensor] = []
        for layer in self.layers:
            found.append(layer(found[-1] if found else images))
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both logits."""
        seen = self.maps(images)[-1].flatten(1)
        return self.real(seen)[:, 0], self.classes(seen)


class DiscriminatorFeatures(nn.Module):
    """Grey images `(N, 1, 28, 28)` to embeddings `(N, D)` of length 1: of the maps of each layer the largest in 4 × 4 cells.

    Args:
        discriminator: Trained.
    """

    def __init__(self, discriminator: ImageDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings `(N, D)`."""
        cells = [functional.adaptive_max_pool2d(one, _GRID).flatten(1) for one in self.discriminator.maps(images)]
        return functional.normalize(torch.cat(cells, dim=1), dim=1)


def fit_image_gan(
    generator: ImageGenerator, discriminator: ImageDiscriminator, images: Tensor, schedule: ImageGanSchedule
) -> Iterator[MetaStep]:
    """Train both networks in place; yield now and then the discriminator's loss, and how often it knew real from generated.

    The discriminator learns classes from real images alone: the first generated ones would teach it noise.

    Args:
        generator: Of C classes.
        discriminator: Of as many.
        images: `(C, M, 1, 28, 28)` in [0, 1].
        schedule: The schedule.
    """
    random = torch.Generator().manual_seed(schedule.seed)
    makes, judges = (
        torch.optim.Adam(network.parameters(), schedule.learning_rate, betas=_BETAS)
        for network in (generator.train(), discriminator.train())
    )
    count, each = images.shape[:2]

    def learn(_: int) -> tuple[Tensor, Tensor]:
        classes, wanted = torch.randint(count, (2, schedule.batch), generator=random)
        real = images[classes, torch.randint(each, classes.shape, generator=random)]
        made = generator(torch.randn(schedule.batch, generator.noise, generator=random), wanted)
        (of_real, told), (of_made, _) = discriminator(real), discriminator(made.detach())  # each normalised by its kind
        loss = discrimination_loss(of_real, of_made) + functional.cross_entropy(told, classes)
        descend(judges, loss)
        looks, told = discriminator(made)
        descend(makes, functional.softplus(-looks).mean() + functional.cross_entropy(told, wanted))
        return loss, torch.cat([of_real > 0, of_made < 0]).float().mean()

    yield from meta_steps(learn, schedule.steps, every=100)
    generator.eval()
    discriminator.eval()
