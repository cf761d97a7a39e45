"""ENet: Paszke, Chaurasia, Kim, Culurciello 2016, arXiv 1606.02147; its Table 1 is the layout, Figure 2 the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

# Of the 1x1 projection within a bottleneck: the paper leaves it open; 4 gives its count of parameters.
REDUCTION = 4

# Rows 2.1 to 2.8 of Table 1, which stage 3 repeats: kernel and dilation; kernel 5 stands for 5x1 and 1x5.
MIDDLE_ROWS = ((3, 1), (3, 2), (5, 1), (3, 4), (3, 1), (3, 8), (5, 1), (3, 16))

# Full convolution with 3x3 filters to twice the size (section 3).
DOUBLING = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}


class ENet(nn.Module):
    """ENet: a deep encoder that goes down to stride 8 at once, and a small decoder that unpools with its indices.

    It is the paper's. The authors' code (Torch 7, github.com/e-lab/ENet-training) differs from it: its decoder has ReLU
    for PReLU and no dropout, its last layer 2x2 filters for 3x3, and 1x5 comes before 5x1. Its batch normalisation, of
    which the paper says no more, adds 1e-3 to variances, here 1e-5.

    - images: (N, C, H, W), H and W multiples of 8
    - returns: logits (N, K, H, W)
    """

    size_multiple = 8
    # So that the deepest maps have four cells: batch normalisation in training refuses one at batch 1.
    minimum_size = 16

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.initial = InitialBlock(in_channels, 16)
        self.down1 = DownsamplingBottleneck(16, 64, dropout=0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(64, 3, 1, dropout=0.01) for _ in range(4)))
        self.down2 = DownsamplingBottleneck(64, 128, dropout=0.1)
        self.stage2 = nn.Sequential(*(Bottleneck(128, *row, dropout=0.1) for row in MIDDLE_ROWS))
        self.stage3 = nn.Sequential(*(Bottleneck(128, *row, dropout=0.1) for row in MIDDLE_ROWS))
        self.up4 = UpsamplingBottleneck(128, 64, dropout=0.1)
        self.stage4 = nn.Sequential(*(Bottleneck(64, 3, 1, dropout=0.1) for _ in range(2)))
        self.up5 = UpsamplingBottleneck(64, 16, dropout=0.1)
        self.stage5 = Bottleneck(16, 3, 1, dropout=0.1)
        self.fullconv = nn.ConvTranspose2d(16, num_classes, **DOUBLING)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features, indices1 = self.down1(self.initial(images))
        features, indices2 = self.down2(self.stage1(features))
        features = self.stage3(self.stage2(features))
        features = self.stage4(self.up4(features, indices2))
        return self.fullconv(self.stage5(self.up5(features, indices1)))


class InitialBlock(nn.Module):
    """Figure 2 (a): a 3x3 convolution of stride 2 beside 2x2 max pooling of the image, if this leaves it channels.

    - images: (N, in_channels, H, W)
    - returns: (N, out_channels, H/2, W/2)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pools = in_channels < out_channels
        maps = out_channels - in_channels if self.pools else out_channels
        self.convolution = nn.Conv2d(in_channels, maps, 3, stride=2, padding=1)
        self.activated = _activated(out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        features = self.convolution(images)
        if self.pools:
            features = torch.cat([features, functional.max_pool2d(images, 2)], dim=1)
        return self.activated(features)


class Bottleneck(nn.Module):
    """Figure 2 (b): projection, convolution, expansion and spatial dropout, added to the input.

    - features: (N, channels, H, W)
    - returns: the same shape
    """

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        width = channels // REDUCTION
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False),
            *_activated(width),
            *_convolution(width, kernel, dilation),
            *_activated(width),
            *_expansion(width, channels, dropout),
        )
        self.activation = nn.PReLU(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum, activated."""
        return self.activation(features + self.branch(features))


class DownsamplingBottleneck(nn.Module):
    """A bottleneck of stride 2 beside 2x2 max pooling, whose missing channels are zero.

    - features: (N, in_channels, H, W)
    - returns: features (N, out_channels, H/2, W/2), and the indices of the maxima (N, in_channels, H/2, W/2)
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        width = out_channels // REDUCTION
        self.missing = out_channels - in_channels
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, width, 2, stride=2, bias=False),
            *_activated(width),
            *_convolution(width, 3, 1),
            *_activated(width),
            *_expansion(width, out_channels, dropout),
        )
        self.activation = nn.PReLU(out_channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and where the maxima were."""
        pooled, indices = functional.max_pool2d(features, 2, return_indices=True)
        padded = functional.pad(pooled, (0, 0, 0, 0, 0, self.missing))
        return self.activation(padded + self.branch(features)), indices


class UpsamplingBottleneck(nn.Module):
    """A bottleneck that doubles the size beside a 1x1 convolution, unpooled to where the encoder's maxima were.

    - features: (N, in_channels, H, W)
    - indices: (N, out_channels, H, W), of the maxima
    - returns: (N, out_channels, 2H, 2W)
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        width = out_channels // REDUCTION
        self.main = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False),
            *_activated(width),
            nn.ConvTranspose2d(width, width, **DOUBLING),
            *_activated(width),
            *_expansion(width, out_channels, dropout),
        )
        self.activation = nn.PReLU(out_channels)

    def forward(self, features: Tensor, indices: Tensor) -> Tensor:
        """Return the sum, activated."""
        unpooled = functional.max_unpool2d(self.main(features), indices, 2)
        return self.activation(unpooled + self.branch(features))


def _convolution(width: int, kernel: int, dilation: int) -> list[nn.Module]:
    if kernel == 3:
        return [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)]
    return [
        nn.Conv2d(width, width, (kernel, 1), padding=(kernel // 2, 0), bias=False),
        nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2)),
    ]


def _expansion(width: int, channels: int, dropout: float) -> list[nn.Module]:
    return [nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.Dropout2d(dropout)]


def _activated(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))
