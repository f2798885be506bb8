"""How every generative model is trained: batches of features with the conditions of their classes, epoch after epoch.

What differs from paper to paper is the networks and the step that a batch takes, and those alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.accelerator import accelerator, seeded_start
from edgezsl.zsl.generative.conditioning import Centring, Description, as_rows, as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows


@dataclass(frozen=True, slots=True)
class GenerativeSchedule:
    """How a generative model is trained.

    Attributes:
        width: Of hidden layers.
        epochs: Passes over the rows.
        learning_rate: Of Adam, falling to 0 by half a cosine.
        decay: Of the weights (AdamW).
        batch: Rows of a step.
        noise: Numbers that a feature is made from beside its condition; of an autoencoder: those of its code.
        seed: Of the start, of the order of rows, and of all noise.
    """

    width: int = 4096
    epochs: int = 50
    learning_rate: float = 1e-4
    decay: float = 0.0
    batch: int = 64
    noise: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of what goes in and comes out.

    Attributes:
        features: F.
        conditions: R.
        classes: Seen classes.
    """

    features: int
    conditions: int
    classes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step learns from.

    Attributes:
        images: Features `(B, F)` at their scale.
        conditions: `(B, R)`, of their classes.
        targets: `(B,)`, their classes from 0.
        progress: Share of the epochs that are done, in [0, 1).
    """

    images: Tensor
    conditions: Tensor
    targets: Tensor
    progress: float


class GenerativeModel(Protocol):
    """The networks of one paper, and the step that trains them.

    Attributes:
        generator: Conditions `(..., R)` and noise `(..., Z)` to generated rows `(..., D)`.
        embedder: Features `(N, F)` to rows `(N, D)` where generated ones live.
        optimizers: Whose learning rates fall.
    """

    generator: nn.Module
    embedder: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]

    def prepare(self, images: Tensor, targets: Tensor) -> None:
        """Learn what comes before the epochs from all `images (N, F)` with `targets (N,)`."""

    def step(self, batch: Batch) -> None:
        """Take one step of each network."""


Recipe: TypeAlias = Callable[[Sizes, GenerativeSchedule, torch.Generator], GenerativeModel]


class Embedder(nn.Module):
    """Features `(N, F)`, as an encoder gives them, to rows `(N, D)` where generated ones live.

    Args:
        scale: Of features at length 1.
        embedder: Of a generative model.
        centring: Of what it embeds.
    """

    def __init__(self, scale: Centring, embedder: nn.Module, centring: Centring) -> None:
        super().__init__()
        self.scale, self.embedder, self.centring = scale, embedder, centring

    def forward(self, features: Tensor) -> Tensor:
        """Return rows `(N, D)`."""
        result: Tensor = self.centring(self.embedder(self.scale(functional.normalize(features, dim=1))))
        return result


class Synthesizer(nn.Module):
    """Descriptions `(K, A)` and noise `(M, Z)` to generated rows `(K, M, D)`, each class from the same noise.

    Args:
        description: Of the seen classes.
        generator: Of a generative model.
        centring: Of what it generates.
    """

    def __init__(self, description: Description, generator: nn.Module, centring: Centring) -> None:
        super().__init__()
        self.description, self.generator, self.centring = description, generator, centring

    def forward(self, semantics: Tensor, noise: Tensor) -> Tensor:
        """Return generated rows `(K, M, D)`."""
        conditions = self.description(semantics)[:, None].expand(-1, noise.shape[0], -1)
        result: Tensor = self.centring(self.generator(conditions, noise[None].expand(semantics.shape[0], -1, -1)))
        return result


Ends: TypeAlias = tuple[Embedder, Synthesizer]
Trainer: TypeAlias = "Callable[[Recipe, GenerativeSchedule, Rows, NDArray[np.integer], Rows], Ends]"


def trained(
    recipe: Recipe, schedule: GenerativeSchedule, features: Rows, labels: NDArray[np.integer], semantics: Rows
) -> Ends:
    """Return what a generative model has learned from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`.

    It is trained on the `accelerator`; both ends are on the CPU.
    """
    classes, rows = np.unique(labels, return_inverse=True)
    units = functional.normalize(as_tensor(features), dim=1)
    scale, description = Centring(units, labels), Description(semantics[classes])
    images, conditions = scale(units), description(as_tensor(semantics[classes]))
    sizes = Sizes(images.shape[1], description.width, len(classes))
    device = accelerator()
    random = torch.Generator(device).manual_seed(schedule.seed)
    with seeded_start(schedule.seed, device):
        model = recipe(sizes, schedule, random)
    train(model, (images.to(device), conditions.to(device), torch.from_numpy(rows).to(device)), schedule, random)
    embedder, generator = model.embedder.cpu(), model.generator.cpu()
    with torch.no_grad():
        centring = Centring(embedder(images), labels)
    return Embedder(scale, embedder, centring).eval(), Synthesizer(description, generator, centring).eval()


@dataclass(slots=True, eq=False)
class FeatureGenerator:
    """A generative model of features, conditioned on what describes a class.

    Attributes:
        recipe: Returns the networks of a paper.
        schedule: How they are trained.
        trainer: Does it: `trained`, or what keeps the models that it gave.
        embedder_: Features `(N, F)` to rows `(N, D)`.
        synthesizer_: Descriptions and noise to rows of the same kind.
    """

    recipe: Recipe
    schedule: GenerativeSchedule = field(default_factory=GenerativeSchedule)
    trainer: Trainer = trained
    embedder_: Embedder = field(init=False, repr=False)
    synthesizer_: Synthesizer = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> FeatureGenerator:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; return itself."""
        self.embedder_, self.synthesizer_ = self.trainer(self.recipe, self.schedule, features, labels, semantics)
        return self

    def embed(self, features: Rows) -> Rows:
        """Return `features (N, F)` where generated ones live `(N, D)`."""
        with torch.no_grad():
            return as_rows(self.embedder_(as_tensor(features)))

    def noise(self, count: int) -> Tensor:
        """Return the noise `(count, Z)` that rows are made from: always the same, and none of the training's."""
        random = torch.Generator().manual_seed(~self.schedule.seed)
        return torch.randn(count, self.schedule.noise, generator=random)

    def synthesize(self, semantics: Rows, per_class: int) -> Rows:
        """Return generated rows `(K, per_class, D)` of classes with `semantics (K, A)`: always the same ones."""
        noise = self.noise(per_class)
        with torch.no_grad():
            made = [self.synthesizer_(row[None], noise) for row in as_tensor(semantics)]
        return as_rows(torch.cat(made))


def train(
    model: GenerativeModel, data: tuple[Tensor, Tensor, Tensor], schedule: GenerativeSchedule, random: torch.Generator
) -> None:
    """Train a model in place.

    Args:
        model: Not yet trained.
        data: Images `(N, F)`, conditions of classes `(C, R)`, targets `(N,)`; all on the device of the model.
        schedule: The schedule.
        random: Of the order of rows, and on the same device.
    """
    images, conditions, targets = data
    rates = [torch.optim.lr_scheduler.CosineAnnealingLR(one, max(schedule.epochs, 1)) for one in model.optimizers]
    model.prepare(images, targets)
    for epoch in range(schedule.epochs):
        for rows in torch.split(torch.randperm(len(images), generator=random, device=random.device), schedule.batch):
            model.step(Batch(images[rows], conditions[targets[rows]], targets[rows], epoch / schedule.epochs))
        for rate in rates:
            rate.step()


def normal_noise(shape: Sequence[int], random: torch.Generator) -> Tensor:
    """Return numbers of a standard normal distribution, on the device of their generator."""
    return torch.randn(shape, generator=random, device=random.device)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down a loss."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
