"""The four-block convolutional network of few-shot papers (Vinyals et al., NeurIPS 2016, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = 4


class ConvEncoder(nn.Module):
    """Grey images `(N, 1, 28, 28)` to embeddings `(N, channels)`: four times convolve, normalise, rectify, halve.

    Args:
        channels: D, of every layer.
        running: Whether normalisation keeps running statistics, for answers that do not depend on the other images of a
            batch. MAML normalises by the batch at hand and needs none.
    """

    def __init__(self, channels: int = 64, *, running: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.blocks = nn.Sequential(*(self._block(channels if i else 1, channels, running) for i in range(BLOCKS)))

    @staticmethod
    def _block(inputs: int, outputs: int, running: bool) -> nn.Sequential:  # noqa: FBT001  # private, passed once
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs, track_running_stats=running),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings `(N, channels)`."""
        return self.blocks(images).flatten(1)  # type: ignore[no-any-return]  # modules are not typed


def conv_classifier(ways: int, channels: int = 64) -> nn.Sequential:
    """Return the encoder with a linear layer to `ways` logits, normalised by the batch at hand."""
    return nn.Sequential(ConvEncoder(channels, running=False), nn.Linear(channels, ways))
