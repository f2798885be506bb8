"""Feature transfer and fine-tuning: an encoder that learned elsewhere, as it is, or its last layers trained on the seen classes.

What is trained aims at the prototypes that the descriptions of seen classes give with the features as they were, so that the last
layers learn and the map from descriptions stays: a head that is trained together with them from random weights pulls them out of shape
first (Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.robustness.classifier import PrototypeClassifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.method import Rows
    from edgezsl.zsl.semantic.ridge import PrototypeRidge

_BATCH = 256


def pixels_in_range(frames: NDArray[np.uint8]) -> Tensor:
    """Return pixels `(N, 3, S, S)` in [-1, 1] of `frames (N, S, S, 3)`, RGB, in the order of memory in which a convolution is fastest."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def encoded(encoder: nn.Module, frames: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """Yield the features of `frames (N, S, S, 3)` batch by batch, `(n, F)` each.

    Args:
        encoder: Pixels in [-1, 1] to features; is put in evaluation mode.
        frames: RGB.
    """
    encoder.eval()
    for start in range(0, len(frames), _BATCH):
        with torch.no_grad():
            features: NDArray[np.float32] = encoder(pixels_in_range(frames[start : start + _BATCH])).numpy()
        yield features


class CentredEncoder(nn.Module):
    """An encoder with what prototype-ridge does to its features, so that a gradient flows through both.

    Args:
        encoder: Inputs to features `(N, F)`.
        mean: `(F,)`, of unit features of seen classes.
    """

    def __init__(self, encoder: nn.Module, mean: Rows) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return unit embeddings `(N, F)`."""
        return functional.normalize(functional.normalize(self.encoder(inputs), dim=1) - self.mean, dim=1)


def seen_classifier(
    encoder: nn.Module, method: PrototypeRidge, semantics: Rows, *, logit_scale: float = 20.0
) -> PrototypeClassifier:
    """Return a classifier of seen classes whose encoder is to be trained (`edgezsl.zsl.robustness.training.fit_against`).

    Args:
        encoder: Inputs to features `(N, F)`; those of its weights that ask for a gradient learn.
        method: Fitted on features of this encoder as it is.
        semantics: Of the seen classes `(K, A)`.
        logit_scale: Of the loss.
    """
    vectors, bias = method.prototypes(semantics)
    return PrototypeClassifier(CentredEncoder(encoder, method.feature_mean_), vectors, bias, logit_scale=logit_scale)
