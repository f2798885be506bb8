"""A compact visual encoder for CPUs and INT8: plain convolutions, ReLU, no squeeze-and-excitation, no attention.

Dense 3 x 3 convolutions where maps are large, inverted bottlenecks (Sandler et al., "MobileNetV2", CVPR 2018) where they
are small: at equal multiply-adds two CPU cores learn from half as many images again as with depthwise convolutions
throughout, and every tensor between two convolutions ends in a ReLU or a sum, for which symmetric INT8 per tensor is
enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


STEM = 32  # channels of a 7 x 7 convolution of stride 4
STAGES = (64, 128)  # channels: a 3 x 3 convolution of stride 2, then one with a residual
BOTTLENECKS, WIDTH, EXPANSION = 5, 160, 4  # the first has stride 2
HEAD = 768


def _convolution(inside: int, outside: int, side: int = 1, *, stride: int = 1, depthwise: bool = False) -> nn.Module:
    groups = inside if depthwise else 1
    return nn.Sequential(
        nn.Conv2d(inside, outside, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outside)
    )


class _Residual(nn.Module):
    """What it wraps, added to its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.inner(features)
        return features + changed


def _bottleneck(inside: int, outside: int, *, stride: int = 1) -> nn.Module:
    inner = inside * EXPANSION
    layers = nn.Sequential(
        _convolution(inside, inner),
        nn.ReLU(inplace=True),
        # 3 x 3 only: these maps are 3 x 3 or 4 x 4, where a 5 x 5 kernel sees no more and its gradient costs ten times as much.
        _convolution(inner, inner, 3, stride=stride, depthwise=True),
        nn.ReLU(inplace=True),
        _convolution(inner, outside),
    )
    return _Residual(layers) if inside == outside and stride == 1 else layers


class LowPass(nn.Module):
    """Pixels `(N, 3, S, S)` without the detail that most training images lack: a fixed binomial kernel.

    Images of 64 pixels that were enlarged hold nothing above two thirds of the highest frequency of 96; a photograph that
    was shrunk does. Without this the encoder takes sharp pictures for something else than what it learned.
    """

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.kernel: Tensor
        self.register_buffer("kernel", torch.outer(line, line).expand(3, 1, 3, 3).contiguous(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pixels of the same shape."""
        return nn.functional.conv2d(pixels, self.kernel, padding=1, groups=3)


class CompactEncoder(nn.Module):
    """Pixels `(N, 3, S, S)` float32, normalised, S a multiple of 32, to unit embeddings `(N, D)` float32.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [LowPass(), _convolution(3, STEM, 7, stride=4), nn.ReLU(inplace=True)]
        channels = STEM
        for outside in STAGES:
            layers += [_convolution(channels, outside, 3, stride=2), nn.ReLU(inplace=True)]
            layers += [_Residual(_convolution(outside, outside, 3)), nn.ReLU(inplace=True)]
            channels = outside
        for number in range(BOTTLENECKS):
            layers.append(_bottleneck(channels, WIDTH, stride=1 if number else 2))
            channels = WIDTH
        layers += [_convolution(channels, HEAD), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.projection = nn.Linear(HEAD, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings `(N, D)`."""
        pooled = self.features(pixels).mean((2, 3))
        return nn.functional.normalize(self.projection(pooled), dim=1)


def multiply_adds(encoder: nn.Module, side: int) -> int:
    """Return the multiply-adds of one `(3, side, side)` image, convolutions and linear layers counted."""
    total = 0

    def count(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * next(layer.parameters())[0].numel()

    counted = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in counted]
    training = encoder.training
    with torch.no_grad():
        encoder.eval()(torch.zeros(1, 3, side, side))
    encoder.train(training)
    for handle in handles:
        handle.remove()
    return total
