"""BiSeNetV2: Yu, Gao, Wang, Yu, Shen, Sang 2020, arXiv 2004.02147; Table 1 is its layout, Figures 4 to 7 its blocks.

The authors published no code. The paper leaves open how wide its segmentation heads are. With 1024 channels the network
has 3.359 M parameters and 24.6 G multiply-adds at 512 x 1024; the paper states 21.15 G and no parameters. Other
implementations published 3.36 M. The best known of them, github.com/CoinCheung/BiSeNet, differs from the paper and from
this one: it has a ReLU behind the last depthwise convolution of each gather-and-expand layer and one behind the
aggregation, in which it resizes to the nearest cell, dropout of 0.1 in its heads, and another 3x3 convolution at twice
the size in booster heads. As there, the last convolution of the context embedding is normalised and activated here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from .auxiliary import hard_pixel_cross_entropy, weighted_sum
from .blocks import PooledBatchNorm2d, initialise, resized_to

if TYPE_CHECKING:
    from torch import Tensor

# Convolution and batch normalisation without activation.
Linear = partial(Conv2dNormActivation, activation_layer=None)

# Channels of the semantic branch behind the stages whose output a booster head reads.
BOOSTED_CHANNELS = (16, 32, 64, 128)


class BiSeNetV2(nn.Module):
    """BiSeNetV2: a wide shallow detail branch and a narrow deep semantic branch that guide each other.

    - images: (N, C, H, W), H and W multiples of 32
    - returns: logits (N, K, H/8, W/8); in training with auxiliary heads four more, of strides 4, 8, 16 and 32
    """

    size_multiple = 32
    # So that the deepest maps have four cells: batch normalisation in training refuses one at batch 1.
    minimum_size = 64

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        head_channels: int = 1024,
        booster_channels: int = 128,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        self.detail = detail_branch(in_channels)
        self.semantic = SemanticBranch(in_channels)
        self.aggregation = GuidedAggregation(128)
        self.head = head(128, head_channels, num_classes)
        self.boosters = (
            nn.ModuleList(head(channels, booster_channels, num_classes) for channels in BOOSTED_CHANNELS)
            if auxiliary
            else None
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the logits, in training with those of the booster heads behind them."""
        stages = self.semantic(images)
        logits = self.head(self.aggregation(self.detail(images), stages[-1]))
        if self.training and self.boosters is not None:
            return logits, *(booster(stage) for booster, stage in zip(self.boosters, stages[:-1], strict=True))
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the summed losses of the heads over hard pixels; target (N, H, W), ignored pixels being -100."""
        return weighted_sum(auxiliary, target, (1.0,) * len(auxiliary), hard_pixel_cross_entropy)


class SemanticBranch(nn.Module):
    """The semantic branch of Table 1.

    - images: (N, C, H, W)
    - returns: the outputs of the stem (N, 16, H/4, W/4), of stage 3 (N, 32, H/8, W/8), of stage 4 (N, 64, H/16, W/16),
      of stage 5 before its context embedding (N, 128, H/32, W/32), and behind it, of the same shape
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stem = Stem(in_channels, 16)
        self.stage3 = nn.Sequential(GatherExpandDown(16, 32), GatherExpand(32))
        self.stage4 = nn.Sequential(GatherExpandDown(32, 64), GatherExpand(64))
        self.stage5 = nn.Sequential(GatherExpandDown(64, 128), *(GatherExpand(128) for _ in range(3)))
        self.context = ContextEmbedding(128)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the output of every stage."""
        stem = self.stem(images)
        stage3 = self.stage3(stem)
        stage4 = self.stage4(stage3)
        stage5 = self.stage5(stage4)
        return stem, stage3, stage4, stage5, self.context(stage5)


class Stem(nn.Module):
    """Figure 4 (a): two ways down to stride 4, by convolutions and by max pooling, joined by a convolution.

    - images: (N, in_channels, H, W)
    - returns: (N, channels, H/4, W/4)
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = Conv2dNormActivation(in_channels, channels, stride=2)
        self.convolutions = nn.Sequential(
            Conv2dNormActivation(channels, channels // 2, kernel_size=1),
            Conv2dNormActivation(channels // 2, channels, stride=2),
        )
        self.pooling = nn.MaxPool2d(3, stride=2, padding=1)
        self.join = Conv2dNormActivation(2 * channels, channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        first = self.first(images)
        return self.join(torch.cat([self.convolutions(first), self.pooling(first)], dim=1))


class GatherExpand(nn.Module):
    """Figure 5 (b): a gathering 3x3 convolution, a depthwise one that expands 6 times, a projection; plus the input.

    - features: (N, channels, H, W)
    - returns: the same shape
    """

    EXPANSION = 6

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels * self.EXPANSION
        self.layers = nn.Sequential(
            Conv2dNormActivation(channels, channels),
            Linear(channels, width, groups=channels),
            Linear(width, channels, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum, activated."""
        return functional.relu(features + self.layers(features))


class GatherExpandDown(nn.Module):
    """Figure 5 (c): the same at stride 2, with two depthwise convolutions and a separable one as shortcut.

    - features: (N, in_channels, H, W)
    - returns: (N, out_channels, H/2, W/2)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = in_channels * GatherExpand.EXPANSION
        self.layers = nn.Sequential(
            Conv2dNormActivation(in_channels, in_channels),
            Linear(in_channels, width, stride=2, groups=in_channels),
            Linear(width, width, groups=width),
            Linear(width, out_channels, kernel_size=1),
        )
        self.shortcut = nn.Sequential(
            Linear(in_channels, in_channels, stride=2, groups=in_channels),
            Linear(in_channels, out_channels, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum, activated."""
        return functional.relu(self.layers(features) + self.shortcut(features))


class ContextEmbedding(nn.Module):
    """Figure 4 (b): the mean of the map, transformed and added to every pixel, then a 3x3 convolution.

    - features: (N, channels, H, W)
    - returns: the same shape
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            PooledBatchNorm2d(channels),
            Conv2dNormActivation(channels, channels, kernel_size=1, norm_layer=PooledBatchNorm2d),
        )
        self.convolution = Conv2dNormActivation(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, each pixel knowing of the whole."""
        return self.convolution(features + self.context(features))


class GuidedAggregation(nn.Module):
    """Figure 6: each branch is gated by the other at its own stride; the sum is smoothed by a 3x3 convolution.

    - detail: (N, channels, H, W)
    - semantic: (N, channels, H/4, W/4)
    - returns: (N, channels, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail_kept = separable(channels)
        self.detail_pooled = nn.Sequential(Linear(channels, channels, stride=2), nn.AvgPool2d(3, stride=2, padding=1))
        self.semantic_kept = separable(channels)
        self.semantic_resized = Linear(channels, channels)
        self.smooth = Linear(channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Return the aggregated features."""
        size = tuple(detail.shape[-2:])
        fine = self.detail_kept(detail) * resized_to(self.semantic_resized(semantic), size).sigmoid()
        coarse = self.detail_pooled(detail) * self.semantic_kept(semantic).sigmoid()
        return self.smooth(fine + resized_to(coarse, size))


def detail_branch(in_channels: int) -> nn.Sequential:
    """Return the detail branch of Table 1: (N, C, H, W) to (N, 128, H/8, W/8)."""
    return nn.Sequential(
        Conv2dNormActivation(in_channels, 64, stride=2),
        Conv2dNormActivation(64, 64),
        Conv2dNormActivation(64, 64, stride=2),
        Conv2dNormActivation(64, 64),
        Conv2dNormActivation(64, 64),
        Conv2dNormActivation(64, 128, stride=2),
        Conv2dNormActivation(128, 128),
        Conv2dNormActivation(128, 128),
    )


def separable(channels: int) -> nn.Sequential:
    """Return the separable convolution of Figure 6: 3x3 depthwise with batch normalisation, 1x1 without."""
    return nn.Sequential(Linear(channels, channels, groups=channels), nn.Conv2d(channels, channels, 1, bias=False))


def head(channels: int, width: int, num_classes: int) -> nn.Sequential:
    """Return the segmentation head of Figure 7: a 3x3 convolution to `width` channels, a 1x1 one to the logits."""
    return nn.Sequential(Conv2dNormActivation(channels, width), nn.Conv2d(width, num_classes, kernel_size=1))
