"""DABNet: Li, Yun, Kim, Kim 2019, arXiv 1907.11357; its Table 1 is the layout, Figure 1 (c) the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

# Of the modules of the two blocks: Table 1.
DILATIONS1 = (2, 2, 2)
DILATIONS2 = (4, 4, 8, 8, 16, 16)

# What batch normalisation adds to variances in the authors' code, from which the outputs follow.
NORMALISATION_EPSILON = 1e-3


class DABNet(nn.Module):
    """DABNet: two blocks of depthwise asymmetric bottlenecks at strides 4 and 8, with the image joined at each stride.

    It returns what the authors' code (github.com/Reagan1311/DABNet) returns, which also resizes its logits to the image
    (bilinear, align_corners=False), as segbench does. First weights differ: there drawn as He 2015 does.

    - images: (N, C, H, W), H and W multiples of 8
    - returns: logits (N, K, H/8, W/8)
    """

    size_multiple = 8
    # So that the deepest maps have four cells: batch normalisation in training refuses one at batch 1.
    minimum_size = 16

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.initial = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False),
            *_activated(32),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            *_activated(32),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            *_activated(32),
        )
        self.join1 = _activated(32 + in_channels)
        self.block1 = Block(32 + in_channels, 64, DILATIONS1)
        self.join2 = _activated(2 * 64 + in_channels)
        self.block2 = Block(2 * 64 + in_channels, 128, DILATIONS2)
        self.join3 = _activated(2 * 128 + in_channels)
        self.classifier = nn.Conv2d(2 * 128 + in_channels, num_classes, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        half = _halved(images)
        quarter = _halved(half)
        features = self.join1(torch.cat([self.initial(images), half], dim=1))
        features = self.join2(torch.cat([self.block1(features), quarter], dim=1))
        features = self.join3(torch.cat([self.block2(features), _halved(quarter)], dim=1))
        return self.classifier(features)


class Block(nn.Module):
    """Downsampling by 2, then modules; what enters the modules is joined to what leaves them.

    - features: (N, in_channels, H, W)
    - returns: (N, 2 * channels, H/2, W/2)
    """

    def __init__(self, in_channels: int, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.downsampling = Downsampling(in_channels, channels)
        self.bottlenecks = nn.Sequential(*(DABModule(channels, dilation) for dilation in dilations))

    def forward(self, features: Tensor) -> Tensor:
        """Return the joined features."""
        entered = self.downsampling(features)
        return torch.cat([self.bottlenecks(entered), entered], dim=1)


class Downsampling(nn.Module):
    """A 3x3 convolution of stride 2, beside 2x2 max pooling (ENet's initial block) if channels become more.

    - features: (N, in_channels, H, W)
    - returns: (N, out_channels, H/2, W/2)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pools = in_channels < out_channels
        maps = out_channels - in_channels if self.pools else out_channels
        self.convolution = nn.Conv2d(in_channels, maps, 3, stride=2, padding=1, bias=False)
        self.activated = _activated(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        convolved = self.convolution(features)
        if self.pools:
            convolved = torch.cat([convolved, functional.max_pool2d(features, 2)], dim=1)
        return self.activated(convolved)


class DABModule(nn.Module):
    """Figure 1 (c): half the channels in two depthwise asymmetric branches, one dilated; their sum back to all.

    - features: (N, channels, H, W)
    - returns: the same shape
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // 2
        self.reduce = nn.Sequential(
            *_activated(channels), nn.Conv2d(channels, width, 3, padding=1, bias=False), *_activated(width)
        )
        self.near = _asymmetric(width, 1)
        self.far = _asymmetric(width, dilation)
        self.restore = nn.Sequential(*_activated(width), nn.Conv2d(width, channels, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """Return the input plus what the branches make of it."""
        reduced = self.reduce(features)
        return features + self.restore(self.near(reduced) + self.far(reduced))


def _asymmetric(width: int, dilation: int) -> nn.Sequential:
    vertical = nn.Conv2d(width, width, (3, 1), padding=(dilation, 0), dilation=(dilation, 1), groups=width, bias=False)
    horizontal = nn.Conv2d(
        width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=width, bias=False
    )
    return nn.Sequential(vertical, *_activated(width), horizontal, *_activated(width))


def _activated(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=NORMALISATION_EPSILON), nn.PReLU(channels))


def _halved(images: Tensor) -> Tensor:
    return functional.avg_pool2d(images, 3, stride=2, padding=1)
