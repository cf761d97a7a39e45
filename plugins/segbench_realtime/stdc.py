"""STDC1-Seg: Fan et al. 2021, arXiv 2104.13188.

Context path, fusion and heads follow BiSeNet (Yu 2018, arXiv 1808.00897), as the paper does.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from .auxiliary import IGNORED, hard_pixel_cross_entropy, weighted_sum
from .blocks import PooledBatchNorm2d, initialise, resized_to
from .edges import class_laplacian

if TYPE_CHECKING:
    from torch import Tensor

# Channels of the stem's two convolutions and of the three stages of two STDC modules each.
STEM_CHANNELS = (32, 64)
STAGE_CHANNELS = (256, 512, 1024)
MODULES = 2

# Channels of the context path.
CONTEXT_CHANNELS = 128

# The heads' losses weigh as much as the training loss, and only pixels below this probability count.
AUXILIARY_WEIGHTS = (1.0, 1.0)
HARD_THRESHOLD = 0.7

# Laplacians at these strides, and the threshold of the detail map. The weights of the 1x1 convolution that
# mixes them are those it starts from in the authors' code: behind a threshold it gets no gradient.
LAPLACIAN_STRIDES = (1, 2, 4)
LAPLACIAN_WEIGHTS = (0.6, 0.3, 0.1)
DETAIL_THRESHOLD = 0.1


class STDC1(nn.Module):
    """STDC1-Seg: one backbone to stride 32, whose features at stride 8 learn details instead of a path of their own.

    It returns what the authors' code (github.com/MichaelFan01/STDC-Seg) returns before it resizes. What differs:
    logits, details too, are resized with align_corners=False, there with True; details are found without regard to how
    classes are numbered, and ignored pixels are none; the Dice loss has squares in its denominator, as in the paper,
    there not; first weights behind the backbone are drawn as in it, those of logits as torch draws them.

    - images: (N, C, H, W)
    - returns: logits (N, K, H/8, W/8), rounded up; in training with auxiliary heads `(logits, logits at stride 8,
      logits at stride 16, detail logits (N, 1, H/8, W/8))`
    """

    # More than the deepest stride, so that the last stage has four cells: batch normalisation needs two.
    minimum_size = 33

    def __init__(self, in_channels: int, num_classes: int, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.backbone = STDC1Backbone(in_channels)
        detail, middle, deep = STAGE_CHANNELS
        self.tail = Conv2dNormActivation(deep, CONTEXT_CHANNELS, 1, norm_layer=PooledBatchNorm2d)
        self.refine32 = AttentionRefinement(deep, CONTEXT_CHANNELS)
        self.refine16 = AttentionRefinement(middle, CONTEXT_CHANNELS)
        self.smooth16 = Conv2dNormActivation(CONTEXT_CHANNELS, CONTEXT_CHANNELS, 3)
        self.smooth8 = Conv2dNormActivation(CONTEXT_CHANNELS, CONTEXT_CHANNELS, 3)
        self.fusion = FeatureFusion(detail + CONTEXT_CHANNELS, 256)
        self.classifier = head(256, 256, num_classes)
        self.auxiliary = (
            nn.ModuleList([head(CONTEXT_CHANNELS, 64, num_classes), head(CONTEXT_CHANNELS, 64, num_classes)])
            if auxiliary
            else None
        )
        self.detail_head = head(detail, 64, 1) if auxiliary else None
        initialise(self)
        heads = (self.classifier, *(self.auxiliary or ()), self.detail_head)
        for layers in filter(None, heads):
            # As `initialise` leaves other networks' logits, which have a bias: of few classes they would be large.
            layers[-1].reset_parameters()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the logits, in training with those of the auxiliary heads behind them."""
        features8, features16, features32 = self.backbone(images)
        tail = self.tail(features32.mean(dim=(2, 3), keepdim=True))
        context32 = self.refine32(features32) + tail
        context16 = self.smooth16(repeated_to(context32, features16))
        context8 = self.smooth8(repeated_to(self.refine16(features16) + context16, features8))
        logits = self.classifier(self.fusion(features8, context8))
        if self.training and self.auxiliary is not None and self.detail_head is not None:
            finer, coarser = self.auxiliary
            return logits, finer(context8), coarser(context16), self.detail_head(features8)
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the hard-pixel cross-entropy of both semantic heads plus the detail loss.

        - auxiliary: logits at stride 8 and 16, detail logits
        - target: (N, H, W), int64, ignored pixels being -100
        """
        *semantic, detail = auxiliary
        hard = partial(hard_pixel_cross_entropy, threshold=HARD_THRESHOLD)
        detail = resized_to(detail.float(), tuple(target.shape[-2:])).squeeze(1)
        return weighted_sum(semantic, target, AUXILIARY_WEIGHTS, hard) + detail_loss(detail, target)


class STDC1Backbone(nn.Module):
    """The classification network without its last 1x1 convolution and classifier.

    - images: (N, C, H, W)
    - returns: features at stride 8, 16 and 32 with 256, 512 and 1024 channels
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        first, second = STEM_CHANNELS
        self.stem = nn.Sequential(
            Conv2dNormActivation(in_channels, first, 3, 2), Conv2dNormActivation(first, second, 3, 2)
        )
        widths = (second, *STAGE_CHANNELS)
        self.stages = nn.ModuleList(stage(before, after) for before, after in pairwise(widths))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the three stages."""
        features = self.stem(images)
        outputs = []
        for each in self.stages:
            features = each(features)
            outputs.append(features)
        return tuple(outputs)


class ShortTermDenseConcatenate(nn.Module):
    """The STDC module: four blocks of falling width, whose outputs are concatenated.

    With stride 2 the second block is strided, and the first one's output is averaged over 3x3 to its size; a depthwise
    convolution does the striding, as in the authors' code.

    - features: (N, in_channels, H, W)
    - returns: (N, out_channels, H/stride, W/stride), rounded up
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.first = Conv2dNormActivation(in_channels, half, 1)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.reduce = (
            Conv2dNormActivation(half, half, 3, stride, groups=half, activation_layer=None)
            if stride > 1
            else nn.Identity()
        )
        self.others = nn.ModuleList(
            [
                Conv2dNormActivation(half, quarter, 3),
                Conv2dNormActivation(quarter, eighth, 3),
                Conv2dNormActivation(eighth, eighth, 3),
            ]
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the concatenated features."""
        first = self.first(features)
        outputs = [self.pool(first)]
        features = self.reduce(first)
        for block in self.others:
            features = block(features)
            outputs.append(features)
        return torch.cat(outputs, dim=1)


class AttentionRefinement(nn.Module):
    """BiSeNet's attention refinement: a 3x3 convolution whose channels are weighted by the image's mean.

    - features: (N, C, H, W)
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolve = Conv2dNormActivation(channels, out_channels, 3)
        self.attend = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            Conv2dNormActivation(
                out_channels, out_channels, 1, norm_layer=PooledBatchNorm2d, activation_layer=nn.Sigmoid, inplace=None
            ),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighted features."""
        features = self.convolve(features)
        return features * self.attend(features)


class FeatureFusion(nn.Module):
    """BiSeNet's feature fusion: concatenation, 1x1 convolution, and channels weighted by the image's mean, once more.

    - fine: (N, F, H, W)
    - context: (N, C, H, W), F + C being in_channels
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mix = Conv2dNormActivation(in_channels, out_channels, 1)
        self.attend = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(out_channels, out_channels // 4, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(out_channels // 4, out_channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        """Return the fused features."""
        mixed = self.mix(torch.cat([fine, context], dim=1))
        return mixed + mixed * self.attend(mixed)


def stage(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return one stage: two modules, the first of stride 2."""
    return nn.Sequential(
        ShortTermDenseConcatenate(in_channels, out_channels, stride=2),
        *(ShortTermDenseConcatenate(out_channels, out_channels, stride=1) for _ in range(MODULES - 1)),
    )


def head(in_channels: int, inner_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution and the 1x1 convolution to logits, which has no bias."""
    return nn.Sequential(
        Conv2dNormActivation(in_channels, inner_channels, 3), nn.Conv2d(inner_channels, out_channels, 1, bias=False)
    )


def repeated_to(features: Tensor, other: Tensor) -> Tensor:
    """Return features (N, C, h, w) at the height and width of others, each cell repeated (nearest)."""
    return functional.interpolate(features, size=tuple(other.shape[-2:]), mode="nearest")


def detail_target(target: Tensor) -> Tensor:
    """Return the pixels that are details: those at which the Laplacians of the labels at strides 1, 2 and 4 add up.

    Laplacians of coarser stride are resized to the nearest pixel. The paper takes the Laplacian of the class numbers;
    `class_laplacian` does not depend on how classes are numbered.

    - target: (N, H, W), int64, ignored pixels being -100
    - returns: (N, H, W), bool
    """
    edges = (class_laplacian(target) > DETAIL_THRESHOLD).float().unsqueeze(1)
    resized = [
        functional.interpolate(edges[..., ::stride, ::stride], size=target.shape[-2:], mode="nearest")
        for stride in LAPLACIAN_STRIDES
    ]
    mixed = sum(weight * each for weight, each in zip(LAPLACIAN_WEIGHTS, resized, strict=True))
    return (mixed > DETAIL_THRESHOLD).squeeze(1)


def detail_loss(detail: Tensor, target: Tensor) -> Tensor:
    """Return binary cross-entropy plus Dice loss of the detail map, over pixels not ignored.

    - detail: logits (N, H, W)
    - target: (N, H, W), int64
    """
    known = target != IGNORED
    truth = detail_target(target).to(detail.dtype)
    entropy = functional.binary_cross_entropy_with_logits(detail, truth, reduction="none").where(known, 0.0)
    predicted, truth = torch.sigmoid(detail).where(known, 0.0).flatten(1), truth.where(known, 0.0).flatten(1)
    # Squares in the denominator, and 1 added on both sides, which is the paper's smoothing.
    overlap = 2 * (predicted * truth).sum(dim=1) + 1
    total = predicted.square().sum(dim=1) + truth.square().sum(dim=1) + 1
    return entropy.sum() / known.sum().clamp_min(1) + (1 - overlap / total).mean()
