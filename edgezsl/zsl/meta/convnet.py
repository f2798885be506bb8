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
        strided: Whether a convolution halves by its stride, as MAML's does on Omniglot (Finn et al., ICML 2017, section
            5.2), with 27% of the multiplications; otherwise the largest of four is kept.
    """

    def __init__(self, channels: int = 64, *, running: bool = True, strided: bool = False) -> None:
        super().__init__()
        self.channels = channels
        layers = [_block(channels if i else 1, channels, running=running, strided=strided) for i in range(BLOCKS)]
        ends = [nn.AdaptiveAvgPool2d(1)] if strided else []  # strides leave 2 x 2 where pooling leaves one
        self.blocks = nn.Sequential(*layers, *ends)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings `(N, channels)`."""
        return self.blocks(images).flatten(1)  # type: ignore[no-any-return]  # modules are not typed


def _block(inputs: int, outputs: int, *, running: bool, strided: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2 if strided else 1, padding=1),
        nn.BatchNorm2d(outputs, track_running_stats=running),
        nn.ReLU(),
        *([] if strided else [nn.MaxPool2d(2)]),
    )


def conv_classifier(ways: int, channels: int = 64, *, strided: bool = False) -> nn.Sequential:
    """Return the encoder with a linear layer to `ways` logits, normalised by the batch at hand."""
    return nn.Sequential(ConvEncoder(channels, running=False, strided=strided), nn.Linear(channels, ways))
