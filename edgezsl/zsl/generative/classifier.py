"""A linear softmax classifier of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.accelerator import seeded_start

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 256


def fitted_classifier(
    images: Tensor,
    targets: Tensor,
    *,
    weights: Tensor,
    epochs: int,
    learning_rate: float,
    random: torch.Generator,
) -> nn.Linear:
    """Return a linear softmax classifier, fitted by cross-entropy; it starts from nothing.

    Args:
        images: `(N, F)`, on the device where it is fitted; the others are there too.
        targets: `(N,)`, 0 to K - 1.
        weights: `(K,)`, how much a row of each class counts.
        epochs: Passes over the rows.
        learning_rate: Of Adam, falling to 0 by half a cosine.
        random: Of the order of rows.
    """
    with seeded_start(0, images.device):  # it is not kept
        layer = nn.Linear(images.shape[1], len(weights))
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(layer.parameters(), learning_rate)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1))
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(images), generator=random, device=random.device), _BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(functional.cross_entropy(layer(images[rows]), targets[rows], weights))
            optimizer.step()
        rates.step()
    layer.requires_grad_(requires_grad=False)
    return layer
