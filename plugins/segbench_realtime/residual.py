"""Residual blocks and heads of networks with a branch of high and one of low resolution (DDRNet, PIDNet).

A block here ends in the sum, without activation, because the branches exchange features before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision.ops import Conv2dNormActivation

from .blocks import PooledBatchNorm2d

if TYPE_CHECKING:
    from torch import Tensor

# How many times wider a bottleneck's output is than its inside in DDRNet (Hong 2021) and PIDNet (Xu 2022).
EXPANSION = 2

# Kernel and stride of the average pooling of each branch of the pyramid.
POOLINGS = ((5, 2), (9, 4), (17, 8))


class Residual(nn.Module):
    """The sum of what `layers` and `shortcut` make of the features."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum, to be activated by whoever reads it."""
        return self.layers(features) + self.shortcut(features)


def basic_block(in_channels: int, out_channels: int, stride: int = 1) -> Residual:
    """Return two 3x3 convolutions with a shortcut (He 2016, arXiv 1512.03385)."""
    layers = nn.Sequential(
        Conv2dNormActivation(in_channels, out_channels, 3, stride),
        Conv2dNormActivation(out_channels, out_channels, 3, activation_layer=None),
    )
    return Residual(layers, _shortcut(in_channels, out_channels, stride))


def bottleneck_block(in_channels: int, inner_channels: int, stride: int = 1) -> Residual:
    """Return a 1x1, a 3x3 and a 1x1 convolution with a shortcut; the output has twice the inner channels."""
    out_channels = EXPANSION * inner_channels
    layers = nn.Sequential(
        Conv2dNormActivation(in_channels, inner_channels, 1),
        Conv2dNormActivation(inner_channels, inner_channels, 3, stride),
        Conv2dNormActivation(inner_channels, out_channels, 1, activation_layer=None),
    )
    return Residual(layers, _shortcut(in_channels, out_channels, stride))


def basic_stage(in_channels: int, out_channels: int, count: int, stride: int = 1) -> nn.Sequential:
    """Return `count` basic blocks with activations between them, the first with the stride."""
    blocks: list[nn.Module] = [basic_block(in_channels, out_channels, stride)]
    for _ in range(count - 1):
        blocks += [nn.ReLU(), basic_block(out_channels, out_channels)]
    return nn.Sequential(*blocks)


def first_stages(in_channels: int) -> nn.Sequential:
    """Return what all branches share: (N, in_channels, H, W) to (N, 64, H/8, W/8), activated."""
    return nn.Sequential(
        nn.Sequential(Conv2dNormActivation(in_channels, 32, 3, 2), Conv2dNormActivation(32, 32, 3, 2)),
        basic_stage(32, 32, 2),
        nn.ReLU(),
        basic_stage(32, 64, 2, stride=2),
        nn.ReLU(),
    )


def activated_convolution(in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> nn.Sequential:
    """Return batch normalisation, activation and convolution, in this order, also for globally pooled features."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
    return nn.Sequential(PooledBatchNorm2d(in_channels), nn.ReLU(), convolution)


def head(in_channels: int, inner_channels: int, out_channels: int) -> nn.Sequential:
    """Return the segmentation head: a 3x3 and a 1x1 convolution, either activated beforehand."""
    return nn.Sequential(
        activated_convolution(in_channels, inner_channels, 3),
        nn.BatchNorm2d(inner_channels),
        nn.ReLU(),
        nn.Conv2d(inner_channels, out_channels, 1),
    )


def pyramid(channels: int, inner_channels: int) -> nn.ModuleList:
    """Return the pooled branches of DAPPM and PAPPM, the coarsest a single cell: each pools, then projects.

    As published, the zeros around a map count in its means: on maps smaller than a kernel they are most of them.
    """
    pools = [*(nn.AvgPool2d(size, stride, size // 2) for size, stride in POOLINGS), nn.AdaptiveAvgPool2d(1)]
    return nn.ModuleList(nn.Sequential(pool, activated_convolution(channels, inner_channels, 1)) for pool in pools)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return Conv2dNormActivation(in_channels, out_channels, 1, stride, activation_layer=None)
