"""A compact visual encoder for CPUs and INT8: plain convolutions, ReLU, no squeeze-and-excitation, no attention.

The blocks are the fused and the universal inverted bottleneck of MobileNetV4 (Qin et al., ECCV 2024), chosen so that
every tensor between two convolutions ends in a ReLU or a sum: symmetric INT8 per tensor is enough for those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted bottleneck.

    Attributes:
        channels: Of its output.
        expansion: Inner channels as a multiple of the input's.
        before: Side of the depthwise kernel before the expansion, 0 for none.
        between: Side of the depthwise kernel after the expansion, 0 for none.
        stride: 1 or 2, taken by `between`, or by `before` where there is no `between`.
    """

    channels: int
    expansion: float
    before: int
    between: int
    stride: int = 1


STEM = 24
FUSED = ((32, 32), (48, 80))  # (channels, inner channels): a 3 x 3 convolution of stride 2, then a 1 x 1 one
# The last stage has 3 x 3 kernels only: its maps are 3 x 3 or 4 x 4, where a 5 x 5 kernel sees no more and its gradient
# costs ten times as much on a CPU.
BLOCKS = (
    Block(96, 3, 5, 3, 2),
    *(Block(96, 2, 0, 3) for _ in range(3)),
    Block(96, 4, 3, 0),
    Block(144, 6, 3, 3, 2),
    Block(144, 4, 3, 3),
    *(Block(144, 4, 0, 3) for _ in range(4)),
)
HEAD = 768


def _convolution(inside: int, outside: int, side: int = 1, *, stride: int = 1, depthwise: bool = False) -> nn.Module:
    groups = inside if depthwise else 1
    return nn.Sequential(
        nn.Conv2d(inside, outside, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outside)
    )


class _Bottleneck(nn.Module):
    def __init__(self, inside: int, block: Block) -> None:
        super().__init__()
        inner = int(inside * block.expansion)
        before = block.stride if not block.between else 1
        layers: list[nn.Module] = []
        if block.before:
            layers.append(_convolution(inside, inside, block.before, stride=before, depthwise=True))
        layers += [_convolution(inside, inner), nn.ReLU(inplace=True)]
        if block.between:
            layers += [
                _convolution(inner, inner, block.between, stride=block.stride, depthwise=True),
                nn.ReLU(inplace=True),
            ]
        layers.append(_convolution(inner, block.channels))
        self.layers = nn.Sequential(*layers)
        self.residual = inside == block.channels and block.stride == 1

    def forward(self, features: Tensor) -> Tensor:
        inner: Tensor = self.layers(features)
        return features + inner if self.residual else inner


class CompactEncoder(nn.Module):
    """Pixels `(N, 3, S, S)` float32, normalised, S a multiple of 32, to unit embeddings `(N, D)` float32.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, STEM, 3, stride=2), nn.ReLU(inplace=True)]
        channels = STEM
        for outside, inner in FUSED:
            layers += [_convolution(channels, inner, 3, stride=2), nn.ReLU(inplace=True)]
            layers += [_convolution(inner, outside), nn.ReLU(inplace=True)]
            channels = outside
        for block in BLOCKS:
            layers.append(_Bottleneck(channels, block))
            channels = block.channels
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
