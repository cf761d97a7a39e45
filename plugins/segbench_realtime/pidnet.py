"""PIDNet-S: Xu, Xiong, Bhattacharyya 2022, arXiv 2206.02066."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from .auxiliary import IGNORED, cross_entropy, hard_pixel_cross_entropy
from .blocks import initialise, resized_to
from .edges import class_boundaries
from .residual import (
    activated_convolution,
    basic_block,
    basic_stage,
    bottleneck_block,
    first_stages,
    head,
    pyramid,
)

if TYPE_CHECKING:
    from torch import Tensor

# The weights of the early semantic head's loss, the boundary loss and the semantic loss at
# boundaries; the fourth, 1 for the loss of the logits, is the training loss itself.
SEMANTIC_WEIGHT, BOUNDARY_WEIGHT, AWARENESS_WEIGHT = 0.4, 20.0, 1.0

# A pixel is at a boundary if the boundary head's probability exceeds this.
BOUNDARY_THRESHOLD = 0.8

# The hard pixels at boundaries, as the authors configure it: 131072 pixels of 6 crops of 1024 x 1024 at least.
HARD_THRESHOLD, HARD_SHARE = 0.9, 1 / 48

# Boundaries are drawn two pixels wide on either side, as the authors' code does (its edge width is 4); the paper does
# not say.
BOUNDARY_RADIUS = 2


class PIDNetS(nn.Module):
    """Three branches: proportional (detail, stride 8), integral (context, stride 64), derivative (boundary, stride 8).

    It returns what the authors' code (github.com/XuJiacong/PIDNet) returns. What differs: its first two convolutions
    have no bias, which the normalisation behind them takes away; logits are resized with align_corners=False, in
    training there with True; the loss on the logits, hard-pixel cross-entropy there, is the benchmark's; boundaries are
    those of the label maps at their own size, not what Canny's filter finds, and pixels around ignored ones are none.

    - images: (N, C, H, W)
    - returns: logits (N, K, H/8, W/8), rounded up; in training with auxiliary heads `(logits, logits of the early
      head, boundary logits (N, 1, H/8, W/8), logits)`, the last once more because one of the losses is on them
    """

    # More than the deepest stride, so that the integral branch ends in four cells: batch normalisation needs two.
    minimum_size = 65

    def __init__(self, in_channels: int, num_classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.shared = first_stages(in_channels)
        self.integral3 = basic_stage(64, 128, 3, stride=2)
        self.proportional3 = basic_stage(64, 64, 2)
        self.derivative3 = basic_block(64, 32)
        self.guidance3 = PixelAttentionGuidance(64, 128, 32)
        self.difference3 = Conv2dNormActivation(128, 32, 3, activation_layer=None)
        self.integral4 = basic_stage(128, 256, 3, stride=2)
        self.proportional4 = basic_stage(64, 64, 2)
        self.derivative4 = bottleneck_block(32, 32)
        self.guidance4 = PixelAttentionGuidance(64, 256, 32)
        self.difference4 = Conv2dNormActivation(256, 64, 3, activation_layer=None)
        self.integral5 = nn.Sequential(
            bottleneck_block(256, 256, stride=2),
            bottleneck_block(512, 256),
        )
        self.proportional5 = bottleneck_block(64, 64)
        self.derivative5 = bottleneck_block(64, 64)
        self.context = ParallelAggregationPyramidPooling(512, 96, 128)
        self.fusion = BoundaryAttentionFusion(128)
        self.classifier = head(128, 128, num_classes)
        self.semantic_head = head(64, 128, num_classes) if auxiliary else None
        self.boundary_head = head(64, 32, 1) if auxiliary else None
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the logits, in training with what the auxiliary losses need behind them."""
        shared = self.shared(images)
        size = tuple(shared.shape[-2:])
        integral = functional.relu(self.integral3(shared))
        proportional = early = functional.relu(self.guidance3(self.proportional3(shared), integral))
        derivative = functional.relu(self.derivative3(shared) + resized_to(self.difference3(integral), size))

        integral = functional.relu(self.integral4(integral))
        proportional = functional.relu(self.guidance4(self.proportional4(proportional), integral))
        derivative = self.derivative4(derivative) + resized_to(self.difference4(integral), size)
        derivative = boundary = functional.relu(derivative)

        context = resized_to(self.context(self.integral5(integral)), size)
        proportional, derivative = self.proportional5(proportional), self.derivative5(derivative)
        logits = self.classifier(self.fusion(proportional, context, derivative))
        if self.training and self.semantic_head is not None and self.boundary_head is not None:
            return logits, self.semantic_head(early), self.boundary_head(boundary), logits
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the sum of the early head's, the boundary and the boundary-awareness loss.

        - auxiliary: logits of the early head, boundary logits, logits
        - target: (N, H, W), int64, ignored pixels being -100
        """
        early, boundary, logits = auxiliary
        boundary = resized_to(boundary.float(), tuple(target.shape[-2:])).squeeze(1)
        return (
            SEMANTIC_WEIGHT * cross_entropy(early, target)
            + BOUNDARY_WEIGHT * boundary_loss(boundary, target)
            + AWARENESS_WEIGHT * boundary_awareness_loss(logits, boundary, target)
        )


class PixelAttentionGuidance(nn.Module):
    """Pag: takes from the integral branch where both branches agree, else from the proportional one.

    - proportional: (N, P, H, W)
    - integral: (N, I, h, w)
    - returns: (N, P, H, W)
    """

    def __init__(self, channels: int, integral_channels: int, inner_channels: int) -> None:
        super().__init__()
        self.compress = Conv2dNormActivation(integral_channels, channels, 1, activation_layer=None)
        self.embed_proportional = Conv2dNormActivation(channels, inner_channels, 1, activation_layer=None)
        self.embed_integral = Conv2dNormActivation(channels, inner_channels, 1, activation_layer=None)

    def forward(self, proportional: Tensor, integral: Tensor) -> Tensor:
        """Return the guided features of the proportional branch."""
        size = tuple(proportional.shape[-2:])
        integral = self.compress(integral)
        embedded = resized_to(self.embed_integral(integral), size)
        agreement = torch.sigmoid((self.embed_proportional(proportional) * embedded).sum(dim=1, keepdim=True))
        return agreement * resized_to(integral, size) + (1 - agreement) * proportional


class ParallelAggregationPyramidPooling(nn.Module):
    """PAPPM: the poolings of DAPPM, aggregated side by side by one grouped convolution.

    - features: (N, C, H, W), not activated
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, channels: int, inner_channels: int, out_channels: int) -> None:
        super().__init__()
        self.unpooled = activated_convolution(channels, inner_channels, 1)
        self.pooled = pyramid(channels, inner_channels)
        together = len(self.pooled) * inner_channels
        self.aggregate = activated_convolution(together, together, 3, groups=len(self.pooled))
        self.compress = activated_convolution(together + inner_channels, out_channels, 1)
        self.shortcut = activated_convolution(channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features with their context."""
        size = tuple(features.shape[-2:])
        unpooled = self.unpooled(features)
        levels = [resized_to(pooled(features), size) + unpooled for pooled in self.pooled]
        aggregated = self.aggregate(torch.cat(levels, dim=1))
        return self.compress(torch.cat([unpooled, aggregated], dim=1)) + self.shortcut(features)


class BoundaryAttentionFusion(nn.Module):
    """Light-Bag: detail where the derivative branch sees a boundary, context elsewhere.

    - proportional, integral, derivative: (N, C, H, W)
    - returns: (N, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_proportional = Conv2dNormActivation(channels, channels, 1, activation_layer=None)
        self.mix_integral = Conv2dNormActivation(channels, channels, 1, activation_layer=None)

    def forward(self, proportional: Tensor, integral: Tensor, derivative: Tensor) -> Tensor:
        """Return the fused features."""
        boundary = torch.sigmoid(derivative)
        return self.mix_proportional((1 - boundary) * integral + proportional) + self.mix_integral(
            boundary * proportional + integral
        )


def boundary_loss(boundary: Tensor, target: Tensor) -> Tensor:
    """Return the binary cross-entropy of boundaries, either kind weighted by the other's share.

    Averaged over pixels that are not ignored; 0 if all are.

    - boundary: logits (N, H, W)
    - target: (N, H, W), int64
    """
    known = target != IGNORED
    truth = class_boundaries(target, BOUNDARY_RADIUS)
    count = known.sum().clamp_min(1)
    share = (truth & known).sum() / count
    losses = functional.binary_cross_entropy_with_logits(boundary, truth.to(boundary.dtype), reduction="none")
    weights = torch.where(truth, 1 - share, share)
    return (losses * weights).where(known, 0.0).sum() / count


def boundary_awareness_loss(logits: Tensor, boundary: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy over the hard pixels of those that the boundary head takes for boundaries; 0 if none.

    - logits: (N, K, h, w)
    - boundary: logits (N, H, W)
    - target: (N, H, W), int64
    """
    seen = torch.sigmoid(boundary.detach()) > BOUNDARY_THRESHOLD
    return hard_pixel_cross_entropy(logits, target.masked_fill(~seen, IGNORED), HARD_THRESHOLD, HARD_SHARE)
