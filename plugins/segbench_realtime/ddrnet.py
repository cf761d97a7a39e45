"""DDRNet-23-slim: Hong, Pan, Sun, Jia 2021, arXiv 2101.06085."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from .auxiliary import weighted_sum
from .blocks import initialise, resized_to
from .residual import (
    activated_convolution,
    basic_stage,
    bottleneck_block,
    first_stages,
    head,
    pyramid,
)

if TYPE_CHECKING:
    from torch import Tensor

# The weight of the loss of the head behind the first bilateral fusion.
AUXILIARY_WEIGHT = 0.4


class DDRNet23Slim(nn.Module):
    """Two branches at strides 8 and 64 that exchange features twice, the coarse one ending in pyramid pooling.

    It returns what the authors' code (github.com/ydhongHIT/DDRNet) returns. What differs: its first two convolutions
    have no bias, which the normalisation behind them takes away; sizes may be other than multiples of 64.

    - images: (N, C, H, W)
    - returns: logits (N, K, H/8, W/8), rounded up; in training with the auxiliary head `(logits, logits)`
    """

    # More than the deepest stride, so that the coarse branch ends in four cells: batch normalisation needs two.
    minimum_size = 65

    def __init__(self, in_channels: int, num_classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.shared = first_stages(in_channels)
        self.coarse4 = basic_stage(64, 128, 2, stride=2)
        self.fine4 = basic_stage(64, 64, 2)
        self.fusion4 = BilateralFusion(64, 128)
        self.coarse5 = basic_stage(128, 256, 2, stride=2)
        self.fine5 = basic_stage(64, 64, 2)
        self.fusion5 = BilateralFusion(64, 256)
        self.coarse6 = bottleneck_block(256, 256, stride=2)
        self.fine6 = bottleneck_block(64, 64)
        self.context = DeepAggregationPyramidPooling(512, 128, 128)
        self.classifier = head(128, 64, num_classes)
        self.auxiliary = head(64, 64, num_classes) if auxiliary else None
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits, in training with those of the auxiliary head behind them."""
        shared = self.shared(images)
        fine, coarse = self.fusion4(self.fine4(shared), self.coarse4(shared))
        early = fine
        fine, coarse = functional.relu(fine), functional.relu(coarse)
        fine, coarse = self.fusion5(self.fine5(fine), self.coarse5(coarse))
        fine = self.fine6(functional.relu(fine))
        context = self.context(self.coarse6(functional.relu(coarse)))
        logits = self.classifier(fine + resized_to(context, tuple(fine.shape[-2:])))
        if self.training and self.auxiliary is not None:
            return logits, self.auxiliary(early)
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return 0.4 times the cross-entropy of the auxiliary head; target (N, H, W), ignored pixels being -100."""
        return weighted_sum(auxiliary, target, (AUXILIARY_WEIGHT,))


class BilateralFusion(nn.Module):
    """Bilateral fusion: each branch gets the other's features, resized by strided 3x3 convolutions or bilinearly.

    - fine: (N, F, H, W), not activated
    - coarse: (N, C, h, w), not activated, C being F times a power of two, the ratio of the strides
    - returns: both, not activated
    """

    def __init__(self, fine_channels: int, coarse_channels: int) -> None:
        super().__init__()
        self.compress = Conv2dNormActivation(coarse_channels, fine_channels, 1, activation_layer=None)
        widths = [fine_channels]
        while widths[-1] < coarse_channels:
            widths.append(2 * widths[-1])
        self.reduce = nn.Sequential(
            *(
                Conv2dNormActivation(before, after, 3, 2, activation_layer=nn.ReLU if after < widths[-1] else None)
                for before, after in pairwise(widths)
            )
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused features of the fine and of the coarse branch."""
        compressed = self.compress(functional.relu(coarse))
        return (
            fine + resized_to(compressed, tuple(fine.shape[-2:])),
            coarse + self.reduce(functional.relu(fine)),
        )


class DeepAggregationPyramidPooling(nn.Module):
    """DAPPM: the coarser a pooling, the more 3x3 convolutions it passes, each adding the next finer one.

    - features: (N, C, H, W), not activated
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, channels: int, inner_channels: int, out_channels: int) -> None:
        super().__init__()
        self.unpooled = activated_convolution(channels, inner_channels, 1)
        self.pooled = pyramid(channels, inner_channels)
        self.aggregate = nn.ModuleList(activated_convolution(inner_channels, inner_channels, 3) for _ in self.pooled)
        self.compress = activated_convolution((1 + len(self.pooled)) * inner_channels, out_channels, 1)
        self.shortcut = activated_convolution(channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features with their context."""
        size = tuple(features.shape[-2:])
        levels = [self.unpooled(features)]
        for pooled, aggregate in zip(self.pooled, self.aggregate, strict=True):
            levels.append(aggregate(resized_to(pooled(features), size) + levels[-1]))
        return self.compress(torch.cat(levels, dim=1)) + self.shortcut(features)
