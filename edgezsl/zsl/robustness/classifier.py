"""What is attacked: everything between the pixels of a frame and the scores of classes, as one module.

Pixels are in [0, 1], before normalisation, so that ε means the same for every model. Resizing is not part of it: the attacker changes
what the encoder is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.errors import InputError
from edgezsl.zsl.robustness.attacks import LEVELS, Ball, fgsm, pgd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.contract import InputContract
    from edgezsl.preprocess import Preprocessor

AttackName = Literal["fgsm", "pgd"]


class PixelEncoder(nn.Module):
    """An encoder that takes pixels `(N, 3, h, w)` in [0, 1], and normalises them as its contract says.

    Args:
        encoder: What the contract says to embeddings `(N, D)`.
        contract: Of the encoder.
    """

    def __init__(self, encoder: nn.Module, contract: InputContract) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean: Tensor
        self.std: Tensor
        whole = contract.dtype == "uint8"  # such an encoder normalises by itself, and takes levels
        mean, std = ((0.0,) * 3, (1 / LEVELS,) * 3) if whole else (contract.mean, contract.std)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return embeddings `(N, D)`."""
        embeddings: Tensor = self.encoder((pixels - self.mean) / self.std)
        return embeddings


class PrototypeClassifier(nn.Module):
    """Inputs to logits `(N, K)`: the product of an embedding and each row, plus the row's bias, times the logit scale.

    Args:
        encoder: Inputs to embeddings `(N, D)`.
        vectors: `(K, D)`.
        bias: `(K,)`.
        logit_scale: Of the embedding space, > 0; it sharpens the loss, and changes no answer.
    """

    def __init__(
        self, encoder: nn.Module, vectors: NDArray[np.floating], bias: NDArray[np.floating], *, logit_scale: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.logit_scale = logit_scale
        self.vectors: Tensor
        self.bias: Tensor
        self.register_buffer("vectors", torch.tensor(vectors, dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)`."""
        embeddings: Tensor = self.encoder(inputs)
        return self.logit_scale * (embeddings @ self.vectors.T + self.bias)


class Mirrored(nn.Module):
    """A classifier that looks at pictures in a mirror.

    Args:
        inner: The classifier.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits `(N, K)` of mirrored pixels `(N, 3, h, w)`."""
        logits: Tensor = self.inner(pixels.flip(-1))
        return logits


class Resized(nn.Module):
    """A classifier that looks at pictures at another size.

    Args:
        inner: The classifier.
        size: `(h, w)` that it takes, in pixels.
    """

    def __init__(self, inner: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.inner = inner
        self.size = size

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits `(N, K)` of pixels `(N, 3, H, W)`."""
        logits: Tensor = self.inner(functional.interpolate(pixels, self.size, mode="bilinear", antialias=True))
        return logits


class Ensemble(nn.Module):
    """Classifiers of the same classes that answer together: the mean of their logits, which an attack sees as one.

    Args:
        members: Inputs to logits `(N, K)` each.
        weights: Of each member, brought to the sum 1; None: all the same.

    Raises:
        InputError: When there is no member, or not one weight > 0 for each.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        given = [1.0] * len(members) if weights is None else list(weights)
        if not members or len(given) != len(members) or min(given) <= 0:
            message = f"an ensemble of {len(members)} members with the weights {given}"
            raise InputError(message, code="bad_ensemble", expected="a member, and one weight > 0 for each")
        self.members = nn.ModuleList(members)
        self.weights = [weight / sum(given) for weight in given]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)`."""
        logits = [weight * member(inputs) for weight, member in zip(self.weights, self.members, strict=True)]
        return torch.stack(logits).sum(0)


def pixels_of(frames: Sequence[NDArray[np.uint8]], preprocess: Preprocessor) -> NDArray[np.float32]:
    """Return the pixels `(N, 3, h, w)` in [0, 1] of N frames, resized as a contract says and not normalised."""
    resized = np.stack([preprocess.resized(frame) for frame in frames])
    pixels: NDArray[np.float32] = np.ascontiguousarray(resized.transpose(0, 3, 1, 2), np.float32) / np.float32(LEVELS)
    return pixels


def answers(classifier: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of the highest logit `(N,)` of `inputs (N, ...)`."""
    with torch.no_grad():
        best: NDArray[np.int64] = classifier(tensor_of(inputs)).argmax(1).numpy()
    return best


def tensor_of(inputs: NDArray[np.float32]) -> Tensor:
    """Return inputs as a tensor; pictures in the order of memory in which a convolution is fastest."""
    found = torch.from_numpy(np.ascontiguousarray(inputs))
    return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found  # noqa: PLR2004  # N, C, h, w


@dataclass(slots=True)
class WhiteBoxAttack:
    """An attack that knows all weights and all prototypes of what it attacks; called with inputs and labels, it gives back worse inputs.

    Every call goes on drawing where the last one stopped: the same calls after the same seed give the same inputs.

    Attributes:
        classifier: Inputs `(N, ...)` to logits `(N, K)`, none of which depends on another row; in evaluation mode.
        ball: What may be given.
        name: Which attack.
        steps: Of PGD.
        seed: Of PGD's starts.
    """

    classifier: nn.Module
    ball: Ball
    name: AttackName = "pgd"
    steps: int = 20
    seed: int = 0
    _generator: torch.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.name not in {"fgsm", "pgd"} or self.steps < 1:
            message = f"there is no attack {self.name!r} of {self.steps} steps"
            raise InputError(message, code="bad_attack", expected="fgsm, or pgd of at least one step")
        self._generator = torch.Generator().manual_seed(self.seed)

    def __call__(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return inputs `(N, ...)` that are as wrong as the attack can make them, for their `labels (N,)`."""
        found = self.attacked(tensor_of(inputs), torch.from_numpy(np.ascontiguousarray(labels)))
        worst: NDArray[np.float32] = found.contiguous().numpy()
        return worst

    def attacked(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the same as tensors, on the device where they are."""

        def losses(points: Tensor) -> Tensor:
            return functional.cross_entropy(self.classifier(points), labels, reduction="none")

        if self.name == "fgsm":
            return fgsm(losses, inputs, self.ball)
        return pgd(losses, inputs, self.ball, steps=self.steps, generator=self._generator)
